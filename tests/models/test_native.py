"""The native format keeps all facts, and believes none that it cannot check."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import save_file

from uhrtranslate.errors import CheckpointError, OptionError, OutputError
from uhrtranslate.models import GeneratorInfo, load_generator, save_native
from uhrtranslate.models.native import load_native
from uhrtranslate.models.unwrap import recognise

from .cases import CASES

cases = pytest.mark.parametrize(("family", "arguments"), CASES.values(), ids=CASES)


def info_of(module, **facts):
    family, arguments = recognise(module.state_dict())
    return GeneratorInfo(
        architecture=family.name,
        arguments=arguments,
        in_channels=arguments["in_channels"],
        out_channels=arguments.get("out_channels", 3),
        stride=family.stride(arguments),
        covariant=family.covariant,
        period=family.period_of(arguments),
        **facts,
    )


FACTS = {
    "cell": 256,
    "halo": 48,
    "mpp": 0.5,
    "domains": ("H&E", "IHC"),
    "value_range": (0.0, 1.0),
    "description": "Für Tests; not for diagnosis.",
    "origin": '{"seed": 1}',
}


@cases
@pytest.mark.parametrize("half", [False, True])
def test_a_generator_and_its_facts_come_back(family, arguments, half, make, tmp_path):
    module = make(family, **arguments)
    info = info_of(module, **FACTS)
    save_native(tmp_path / "g.safetensors", module, info, half=half)
    loaded, read = load_native(tmp_path / "g.safetensors")
    assert read == info
    for key, tensor in module.state_dict().items():
        want = tensor.half().float() if half and tensor.is_floating_point() else tensor
        assert torch.equal(loaded.state_dict()[key], want)
    assert [p.name for p in tmp_path.iterdir()] == ["g.safetensors"]


def test_half_precision_takes_half_the_space(make, tmp_path):
    module = make(ngf=16)
    for half in (False, True):
        save_native(tmp_path / f"{half}.safetensors", module, info_of(module), half=half)
    small, large = (tmp_path / f"{half}.safetensors" for half in (True, False))
    assert small.stat().st_size < 0.6 * large.stat().st_size


def test_dropout_of_a_unet_is_kept(make, tmp_path):
    module = make("unet", ngf=1, n_downs=6, dropout=True)
    info = info_of(module)
    info = dataclasses.replace(info, arguments={**info.arguments, "dropout": True})
    save_native(tmp_path / "g.safetensors", module, info)
    loaded, read = load_native(tmp_path / "g.safetensors")
    assert read.arguments["dropout"] is True
    assert any(isinstance(m, torch.nn.Dropout) for m in loaded.modules())


def rewrite(path, tensors, **changes):
    fields = {**json.loads(json.dumps(changes.pop("base"))), **changes}
    save_file(tensors, path, {"uhrt": json.dumps(fields)})


@pytest.mark.parametrize("first", [0x50, 0x80])
def test_a_header_of_any_length_is_one_of_safetensors(first, make, tmp_path):
    """Its length comes first, and may begin like a zip file or a pickle."""
    module, sizes = make(ngf=2), []
    for length in range(0, 400, 4):
        save_native(tmp_path / "g.safetensors", module, info_of(module, description="x" * length))
        sizes.append((tmp_path / "g.safetensors").read_bytes()[0])
        if sizes[-1] == first:
            break
    assert sizes[-1] == first
    assert len(load_native(tmp_path / "g.safetensors")[1].description) == length
    assert load_generator(tmp_path / "g.safetensors").info.cell is None


HOSTILE = {
    "newer": ({"format": 3}, "newer than 2"),
    "unknown family": ({"architecture": "os:abort"}, "not known here"),
    "other family": ({"architecture": "unet"}, "not of a unet generator"),
    "other arguments": ({"arguments": {"n_blocks": 10**9}}, "differ in n_blocks"),
    "extra argument": ({"arguments": {"frills": 1}}, "frills"),
    "nested argument": ({"arguments": {"ngf": [[1]]}}, "arguments"),
    "several for one": ({"arguments": {"ngf": [1]}}, "differ in ngf"),
    "stride": ({"stride": 8}, "differ in stride"),
    "huge cell": ({"cell": 10**12}, "cell"),
    "negative halo": ({"halo": -1}, "halo"),
    "mpp nan": ({"mpp": float("nan")}, "mpp"),
    "text for a number": ({"cell": "512"}, "cell"),
    "one domain": ({"domains": ["A"]}, "domains"),
    "escape": ({"description": "\x1b[2J"}, "printable"),
    "empty range": ({"value_range": [1.0, 1.0]}, "value_range"),
    "unknown field": ({"run": "rm"}, "run"),
    "covariance": ({"covariant": False}, "covariant"),
}


@pytest.mark.parametrize(("changes", "message"), HOSTILE.values(), ids=HOSTILE)
def test_metadata_is_checked(changes, message, make, tmp_path):
    module = make()
    base = dataclasses.asdict(info_of(module, **FACTS)) | {"format": 1}
    del base["covariant"], base["period"]  # the family's
    rewrite(tmp_path / "g.safetensors", module.state_dict(), base=base, **changes)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_generator(tmp_path / "g.safetensors")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 50_000])
def test_metadata_that_is_no_json_object_is_refused(text, make, tmp_path):
    save_file(make().state_dict(), tmp_path / "g.safetensors", {"uhrt": text})
    with pytest.raises(CheckpointError, match="metadata"):
        load_generator(tmp_path / "g.safetensors")


def test_safetensors_without_metadata_load_as_a_checkpoint(make, tmp_path):
    save_file(make().state_dict(), tmp_path / "g.safetensors")
    assert load_generator(tmp_path / "g.safetensors").info.cell is None


def test_what_cannot_be_loaded_is_not_written(make, tmp_path):
    module = make()
    info = info_of(module)
    for wrong in (
        dataclasses.replace(info, architecture="mine:make"),
        dataclasses.replace(info, mpp=-1.0),
        dataclasses.replace(info, arguments={"ngf": 3}),
    ):
        with pytest.raises(OptionError):
            save_native(tmp_path / "g.safetensors", module, wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_is_an_output_error(make, tmp_path):
    module = make()
    with pytest.raises(OutputError, match="cannot be written"):
        save_native(tmp_path / "no" / "g.safetensors", module, info_of(module))


def test_a_failed_write_leaves_the_old_file(make, tmp_path, monkeypatch):
    module = make()
    path = tmp_path / "g.safetensors"
    path.write_bytes(b"old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "disk full")))
    with pytest.raises(OutputError, match="disk full"):
        save_native(path, module, info_of(module))
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["g.safetensors"]
