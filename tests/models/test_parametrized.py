"""Weights in parts: what torch computes from them in eval mode is what is loaded."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from uhrtranslate.errors import CheckpointError
from uhrtranslate.models.checkpoint import load_checkpoint

CONVS = (nn.Conv2d, nn.ConvTranspose2d)
SPELLINGS = {
    "spectral hooks": nn.utils.spectral_norm,
    "spectral parametrization": parametrizations.spectral_norm,
    "weight hooks": nn.utils.weight_norm,
    "weight parametrization": parametrizations.weight_norm,
    "weight of the whole": lambda layer: nn.utils.weight_norm(layer, dim=None),
    "pruned": lambda layer: prune.random_unstructured(layer, "weight", 0.3),
}
NETWORKS = {
    # As ASP and PSPStain save theirs: 6 blocks, instance norm, blurred resampling.
    "CUT": ("resnet", {"n_blocks": 6, "antialias": True, "antialias_up": True}),
    "CycleGAN, with transposed convolutions": ("resnet", {"n_blocks": 2}),
    "KIN": ("kaminyou", {"n_blocks": 1}),
    "U-Net": ("unet", {"n_downs": 5}),
}


def wrapped(module, norm):
    """All convolutions of a network under a parametrization, after three steps of training."""
    for layer in list(module.modules()):
        if isinstance(layer, CONVS):
            norm(layer)
    optimizer = torch.optim.SGD(module.parameters(), 0.01)
    module.train()
    for _ in range(3):
        optimizer.zero_grad()
        module(torch.rand(1, 3, 64, 64)).square().mean().backward()
        optimizer.step()
    return module.eval()


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("norm", SPELLINGS.values(), ids=SPELLINGS)
def test_the_folded_weights_give_equal_outputs(norm, network, make, tmp_path):
    family, arguments = network
    module = wrapped(make(family, ngf=4, **arguments), norm)
    keys = list(module.state_dict())
    assert not [key for key in keys if key.endswith("1.weight")] or family != "resnet"
    torch.save(module.state_dict(), tmp_path / "latest_net_G.pth")
    loaded, info = load_checkpoint(tmp_path / "latest_net_G.pth")
    x = torch.rand(1, 3, 64, 96 if family != "unet" else 64) * 2 - 1
    with torch.inference_mode():
        want, y = module(x), loaded(x)
    assert info.architecture == family
    assert want.std() > 1e-3
    assert torch.allclose(y, want, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("norm", list(SPELLINGS.values())[:4], ids=list(SPELLINGS)[:4])
@pytest.mark.parametrize("prefix", ["module.", "netG."])
def test_parts_are_found_in_wrapped_checkpoints(norm, prefix, make, tmp_path):
    module = wrapped(make(ngf=2, n_blocks=1), norm)
    state = {prefix + key: tensor for key, tensor in module.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "g.pth")
    x = torch.rand(1, 3, 64, 64)
    assert torch.allclose(load_checkpoint(tmp_path / "g.pth")[0](x), module(x), atol=1e-5)


def test_the_division_uses_the_stored_vectors_without_an_iteration(make, tmp_path):
    """In eval mode torch takes u and v as they are, even where they are no singular vectors."""
    module = make(ngf=2, n_blocks=1)
    layer = module.model[1]
    nn.utils.spectral_norm(layer)
    state = copy.deepcopy(module.state_dict())
    shape = state["model.1.weight_orig"].shape
    state["model.1.weight_u"] = torch.nn.functional.normalize(torch.ones(shape[0]), dim=0)
    torch.save(state, tmp_path / "g.pth")
    loaded = load_checkpoint(tmp_path / "g.pth")[0]
    matrix = state["model.1.weight_orig"].flatten(1)
    sigma = state["model.1.weight_u"] @ matrix @ state["model.1.weight_v"]
    assert torch.allclose(loaded.model[1].weight, state["model.1.weight_orig"] / sigma)


def test_what_old_versions_stored_beside_the_parts_is_used(make, tmp_path):
    """Before PyTorch 1.0, the result was stored, and no v."""
    module = make()
    state = dict(module.state_dict())
    state["model.4.weight_orig"] = state["model.4.weight"] * 3
    state["model.4.weight_u"] = torch.ones(4) / 2
    torch.save(state, tmp_path / "g.pth")
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(load_checkpoint(tmp_path / "g.pth")[0](x), module(x))


class Doubled(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0))

    def forward(self, weight):
        return self.factor * weight


def test_an_unknown_parametrization_is_named_with_the_remedy(make, tmp_path):
    module = make()
    parametrize.register_parametrization(module.model[1], "weight", Doubled())
    torch.save(module.state_dict(), tmp_path / "g.pth")
    with pytest.raises(
        CheckpointError, match=r"model\.1\.weight is stored as .*\.0\.factor.*not known here"
    ):
        load_checkpoint(tmp_path / "g.pth")


@pytest.mark.parametrize(("part", "shape"), [("u", (3,)), ("v", (3,)), ("orig", (4,))])
def test_parts_that_do_not_fit_are_an_error(part, shape, make, tmp_path):
    module = make()
    nn.utils.spectral_norm(module.model[4])
    state = dict(module.state_dict())
    state[f"model.4.weight_{part}"] = torch.ones(shape)
    torch.save(state, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match=r"g\.pth: (model\.4\.weight is stored|its keys fit)"):
        load_checkpoint(tmp_path / "g.pth")


def test_a_vanishing_sigma_is_not_a_picture(make, tmp_path):
    module = make()
    nn.utils.spectral_norm(module.model[4])
    state = dict(module.state_dict())
    state["model.4.weight_u"] = torch.zeros(4)
    torch.save(state, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match=r"model\.4\.weight holds NaN or infinity"):
        load_checkpoint(tmp_path / "g.pth")
