"""One suite that every family of generators passes."""

import inspect

import pytest
import torch

from uhrtranslate.models.checkpoint import load_checkpoint
from uhrtranslate.models.unwrap import recognise
from uhrtranslate.tables import GENERATOR_FAMILIES

from .cases import CASES, UNSEEN

cases = pytest.mark.parametrize(("family", "arguments"), CASES.values(), ids=CASES)


def image(arguments, side):
    default = 1 if "width" in arguments else 3  # Swin-Unets take grey
    channels = arguments.get("in_channels", default)
    return torch.rand(1, channels, side, side + 64, generator=torch.manual_seed(3)) * 2 - 1


def test_every_family_is_tested():
    assert {family for family, _ in CASES.values()} == set(GENERATOR_FAMILIES)


@cases
def test_hyper_parameters_are_read_off_keys_and_shapes(family, arguments, make):
    state = make(family, **arguments).state_dict()
    found, read = recognise(state)
    signature = inspect.signature(found.build).parameters
    want = {name: arguments.get(name, p.default) for name, p in signature.items()}
    want = {name: value for name, value in want.items() if name not in UNSEEN.get(family, ())}
    assert found.name == family
    assert read == want


@cases
def test_a_saved_generator_gives_equal_outputs(family, arguments, make, tmp_path):
    module = make(family, **arguments)
    torch.save(module.state_dict(), tmp_path / "net_G.pth")
    loaded, info = load_checkpoint(tmp_path / "net_G.pth")
    x = image(arguments, max(64, info.stride))[..., : max(64, info.stride)]
    with torch.inference_mode():
        y, want = loaded(x), module(x)
    assert torch.equal(y, want)
    assert y.shape == (1, arguments.get("out_channels", 3), *x.shape[2:])
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


@cases
def test_exactly_one_family_recognises_a_state(family, arguments, make):
    state = make(family, **arguments).state_dict()
    assert [a.name for a in GENERATOR_FAMILIES.values() if a.recognise(state)] == [family]


@cases
def test_recognising_changes_nothing(family, arguments, make):
    state = make(family, **arguments).state_dict()
    before = {key: tensor.clone() for key, tensor in state.items()}
    recognise(state)
    assert list(state) == list(before)
    assert all(torch.equal(state[key], before[key]) for key in before)


@pytest.mark.parametrize("family", ["resnet", "kaminyou"])
@pytest.mark.parametrize("size", [(64, 64), (68, 100)])
def test_output_has_the_size_of_the_input(family, size, make):
    with torch.inference_mode():
        y = make(family, ngf=2, n_blocks=1)(torch.zeros(1, 3, *size))
    assert y.shape[2:] == size


@pytest.mark.parametrize(
    ("family", "size"),
    [("unet", {"n_downs": 4}), ("attention-unet", {"n_downs": 4}), ("histoplexer", {"depth": 3})],
)
def test_shallower_networks_are_refused(family, size):
    with pytest.raises(ValueError, match=rf"at least {next(iter(size.values())) + 1}"):
        GENERATOR_FAMILIES[family].build(**size)


def test_an_unknown_norm_is_refused():
    with pytest.raises(ValueError, match="'group'"):
        GENERATOR_FAMILIES["resnet"].build(norm="group")
