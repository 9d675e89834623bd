"""The use cases around models: describe, list, convert."""

import dataclasses
import json

import pytest
import torch

from uhrtranslate.errors import CheckpointError, OptionError, OutputError
from uhrtranslate.models import bundled_generators
from uhrtranslate.tasks.models import convert_model, describe_model, list_models


@pytest.fixture
def checkpoint(make, tmp_path):
    path = tmp_path / "latest_net_G.pth"
    torch.save({"state_dict": make("kaminyou", ngf=2, n_blocks=2).state_dict()}, path)
    return path


def test_a_checkpoint_is_described(checkpoint):
    description = describe_model(checkpoint)
    assert description.architecture == "kaminyou"
    assert description.norms == {"instance": 9}
    assert description.path == str(checkpoint)
    assert description.stride == 4
    assert description.parameters > 1000
    assert json.loads(json.dumps(dataclasses.asdict(description)))["sha256"] == description.sha256


def test_norms_are_counted_by_kind(make):
    unet = describe_model(make("unet", ngf=1, n_downs=5))
    assert (unet.norms, unet.replaced) == ({"batch": 7}, {})
    assert describe_model(torch.nn.Conv2d(3, 3, 1)).norms == {}
    nn = torch.nn
    mixed = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.GroupNorm(2, 4), nn.BatchNorm2d(4), nn.InstanceNorm2d(4),
        nn.BatchNorm2d(4, track_running_stats=False), nn.GroupNorm(1, 4), nn.Conv2d(4, 3, 1),
    )  # fmt: skip
    found = describe_model(mixed)
    assert found.norms == {"group": 2, "batch": 1, "instance": 1, "batch statistics": 1}
    assert found.replaced == {"group": 2, "instance": 1, "batch statistics": 1}


def test_bundled_models_are_listed():
    assert [d.name for d in list_models()] == bundled_generators()


def test_converting_keeps_weights_and_adds_facts(checkpoint, tmp_path):
    target = tmp_path / "mine.safetensors"
    description = convert_model(checkpoint, target, 256, 0.5, ("HE", "IHC"), "Mine.")
    assert description == describe_model(target)
    assert (description.cell, description.mpp, description.domains) == (256, 0.5, ("HE", "IHC"))
    again = convert_model(target, tmp_path / "again.safetensors", mpp=1.0)
    assert (again.cell, again.mpp, again.description) == (256, 1.0, "Mine.")


def test_an_existing_target_is_kept_unless_overwritten(checkpoint, tmp_path):
    target = tmp_path / "mine.safetensors"
    target.write_bytes(b"old")
    with pytest.raises(OutputError, match="exists already"):
        convert_model(checkpoint, target)
    assert target.read_bytes() == b"old"
    assert convert_model(checkpoint, target, overwrite=True).name == "mine"


def test_a_part_is_converted(make, tmp_path):
    states = {name: make(seed=i).state_dict() for i, name in enumerate(("G_A", "G_B"))}
    torch.save(states, tmp_path / "both.pth")
    with pytest.raises(CheckpointError, match="several generators"):
        convert_model(tmp_path / "both.pth", tmp_path / "b.safetensors")
    convert_model(f"{tmp_path / 'both.pth'}:G_B", tmp_path / "b.safetensors")
    assert describe_model(tmp_path / "b.safetensors").arguments["ngf"] == 2


def test_wrong_options_write_nothing(checkpoint, tmp_path):
    target = tmp_path / "mine.safetensors"
    for wrong in ({"cell": 0}, {"mpp": float("inf")}, {"domains": ("a", "")}):
        with pytest.raises(OptionError):
            convert_model(checkpoint, target, **wrong)
    with pytest.raises(OptionError, match="suffix"):
        convert_model(checkpoint, tmp_path / "mine.onnx")
    with pytest.raises(OptionError, match="leave out cell, mpp"):
        convert_model(checkpoint, tmp_path / "mine.pth", cell=256, mpp=0.5)
    assert not target.exists()
    assert not (tmp_path / "mine.pth").exists()


@pytest.mark.parametrize("family", ["resnet", "kaminyou", "unet"])
def test_a_native_file_goes_back_to_public_keys(family, make, tmp_path):
    """What a public repository saved comes out of native files as it went in."""
    before = make(family, ngf=2, **({"n_downs": 5} if family == "unet" else {})).state_dict()
    torch.save(before, tmp_path / "latest_net_G.pth")
    convert_model(tmp_path / "latest_net_G.pth", tmp_path / "mine.safetensors", cell=256)
    convert_model(tmp_path / "mine.safetensors", tmp_path / "back.pth")
    after = torch.load(tmp_path / "back.pth", weights_only=True)
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)
