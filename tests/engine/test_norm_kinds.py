"""Group norms and batch norms of batch statistics become cells and fields like instance norms."""

import copy

import numpy as np
import pytest
import skimage.data
import torch
import torch.nn.functional as F
from gpu_formulas import HostRunner
from support import as_generator, small_resnet, translate_array
from torch import nn

from uhrtranslate.engine import (
    GeneratorRunner,
    Masking,
    NativeRunner,
    measure_halo,
)
from uhrtranslate.engine.forward.actions import AS_TRAINED, PUBLISHED_CELL, Recorder
from uhrtranslate.engine.forward.layers import norm_kind, replace_norms
from uhrtranslate.engine.native import build
from uhrtranslate.geometry import CellGrid, CellMask
from uhrtranslate.normalizers import DN, KIN, TIN, PatchIN, Pooled

CELL = 128
NORMALIZERS = [DN(), KIN(kernel=3), TIN(), PatchIN(), Pooled()]


def seen_batch_norm(channels):
    """As DeepLIIF makes its layers for inference."""
    layer = nn.BatchNorm2d(channels)
    layer.track_running_stats = False
    layer.running_mean = layer.running_var = None
    return layer


KINDS = {
    "one group": lambda channels: nn.GroupNorm(1, channels),
    "two groups": lambda channels: nn.GroupNorm(2, channels, eps=1e-4),
    "a group per channel": lambda channels: nn.GroupNorm(channels, channels),
    "groups, not affine": lambda channels: nn.GroupNorm(2, channels, affine=False),
    "untracked batch norm": lambda channels: nn.BatchNorm2d(channels, track_running_stats=False),
    "batch norm that forgot": seen_batch_norm,
}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def network_of(kind, seed=1):
    """A small ResNet whose norms are of another kind, with random affine weights."""
    network = small_resnet(ngf=4, n_blocks=2, seed=seed)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.InstanceNorm2d):
                norm = kind(child.num_features)
                if norm.affine:
                    nn.init.normal_(norm.weight, 1, 0.2)
                    nn.init.normal_(norm.bias, 0, 0.2)
                setattr(parent, name, norm)
    return network.eval()


@pytest.fixture(scope="module")
def section():
    image = skimage.data.immunohistochemistry()
    return np.ascontiguousarray(np.tile(image, (2, 2, 1))[:601, :709])


def as_input(pixels):
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1


@kinds
@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=repr)
def test_one_cell_is_the_plain_network(section, normalizer, kind):
    patch = section[:CELL, :CELL]
    network = network_of(kind)
    with torch.inference_mode():
        plain = network(as_input(patch))[0].permute(1, 2, 0).numpy()
    dense = translate_array(
        patch, network, normalizer, cell=CELL, halo=0, floats=True, thumbnail=patch
    )
    assert plain.std() > 0.1
    assert np.abs(dense - plain).max() < 1e-4


def test_in_training_mode_batch_norm_sees_its_batch(section):
    """As pix2pix's public code runs: one image, statistics of that image."""
    network = network_of(nn.BatchNorm2d)
    x = as_input(section[:CELL, :CELL])
    with torch.no_grad():
        plain = copy.deepcopy(network).train()(x)
    switch = replace_norms(network.train())
    assert switch.layers == 9
    with torch.inference_mode():
        assert torch.allclose(network.eval()(x), plain, atol=1e-4)


def test_running_statistics_stay(section):
    network = network_of(nn.BatchNorm2d)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
    with torch.inference_mode():
        plain = network(as_input(section[:CELL, :CELL]))[0].permute(1, 2, 0).numpy()
    patch = section[:CELL, :CELL]
    assert replace_norms(network).layers == 0
    same = translate_array(patch, network, DN(), cell=CELL, halo=0, floats=True)
    assert np.abs(same - plain).max() < 1e-5


@kinds
def test_the_field_is_that_of_the_whole_image(section, kind):
    """One norm between two 1 x 1 convolutions: statistics of cells, interpolated by torch."""
    torch.manual_seed(2)
    first, norm, last = nn.Conv2d(3, 8, 1), kind(8), nn.Conv2d(8, 3, 1)
    image = section[: 3 * CELL, : 4 * CELL]
    with torch.inference_mode():
        x = first(as_input(image))
        groups = norm.num_groups if isinstance(norm, nn.GroupNorm) else 8
        cells = x.double().reshape(groups, -1, 3, CELL, 4, CELL)
        table = {"mean": cells.mean((1, 3, 5))}
        table["rstd"] = (cells.var((1, 3, 5), correction=0) + norm.eps).rsqrt()
        maps = {
            name: F.interpolate(values[None], x.shape[2:], mode="bilinear")[0]
            .repeat_interleave(8 // groups, 0)
            .float()
            for name, values in table.items()
        }
        y = (x - maps["mean"]) * maps["rstd"]
        if norm.affine:
            y = y * norm.weight[:, None, None] + norm.bias[:, None, None]
        expected = last(y)[0].permute(1, 2, 0).numpy()
    result = translate_array(
        image, nn.Sequential(first, norm, last), DN(), cell=CELL, tile=100, stride=1, floats=True
    )
    assert expected.std() > 0.1
    assert np.abs(result - expected).max() < 1e-4


@pytest.fixture(scope="module", params=["two groups", "one group", "batch norm that forgot"])
def network(request):
    return network_of(KINDS[request.param])


@pytest.fixture(scope="module")
def halo(network):
    return measure_halo(GeneratorRunner(as_generator(network), torch.device("cpu")))


@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=repr)
def test_output_does_not_depend_on_tiles(section, network, halo, normalizer):
    """Tiles from a thirtieth of the image to all of it."""
    thumbnail = section[::5, ::5][:116, :128].copy()
    results = [
        translate_array(
            section,
            network,
            normalizer,
            cell=CELL,
            tile=tile,
            halo=halo,
            thumbnail=thumbnail,
            batch=batch,
        )
        for tile, batch in ((1024, 1), (256, 2), (100, 3))
    ]
    assert results[0].std() > 10, "a flat result would prove nothing"
    for other in results[1:]:
        assert np.abs(results[0].astype(int) - other).max() <= 1


@pytest.mark.slow
def test_tiles_from_256_to_2048_agree(network, halo):
    image = np.tile(skimage.data.immunohistochemistry(), (5, 5, 1))[:2089, :2311]
    results = [
        translate_array(image, network, DN(), cell=512, tile=tile, halo=halo)
        for tile in (256, 512, 1024, 2048)
    ]
    for other in results[1:]:
        assert np.abs(results[0].astype(int) - other).max() <= 1


@pytest.mark.parametrize("normalizer", [*NORMALIZERS[:-1], Pooled(bandwidth=0.2)], ids=repr)
def test_masks_change_nothing_where_tissue_is(section, network, halo, normalizer):
    grid = CellGrid(709, 601, CELL)
    kept = np.ones((grid.rows, grid.cols), bool)
    kept[0, 0] = False
    how = {"cell": CELL, "tile": CELL, "halo": halo, "thumbnail": section[:64, :64]}
    masked = translate_array(
        section, network, normalizer, masking=Masking(CellMask(grid, kept), (1, 2, 3)), **how
    )
    whole = translate_array(section, network, normalizer, **how)
    far = np.s_[3 * CELL :, 3 * CELL :]
    # Not to the byte: with a wide halo, windows reach the missing cell and are computed with gaps.
    assert np.abs(masked[far].astype(int) - whole[far]).max() <= 1
    assert (masked[: CELL // 2, : CELL // 2] == (1, 2, 3)).all()


@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=repr)
@pytest.mark.parametrize("kind", [HostRunner, NativeRunner])
def test_what_is_compiled_is_the_reference(section, network, normalizer, kind, monkeypatch):
    if kind is NativeRunner and not build.available():
        pytest.skip("no C++ compiler")
    how = {"cell": CELL, "tile": CELL, "halo": 32, "thumbnail": section[:64, :64]}
    image = section[: 2 * CELL, : 2 * CELL]
    reference = translate_array(image, network, normalizer, **how)
    monkeypatch.setattr("support.GeneratorRunner", kind)
    found = translate_array(image, network, normalizer, **how)
    assert reference.std() > 10
    assert np.abs(reference.astype(int) - found).max() <= 1


LAST = torch.channels_last


@pytest.mark.parametrize("layout", [LAST, torch.contiguous_format], ids=["last", "first"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rule", [AS_TRAINED, PUBLISHED_CELL], ids=["trained", "published"])
@pytest.mark.parametrize("groups", [1, 2, 3])
def test_statistics_of_groups_are_exact(groups, rule, dtype, layout):
    torch.manual_seed(0)
    offset = torch.arange(6.0)[:, None, None] * 40  # channels of a group that differ much
    x = (torch.randn(2, 6, 50, 61) * 3 + offset).to(dtype).contiguous(memory_format=layout)
    recorder = Recorder(rule)
    y = recorder(0, x, 1e-5, 6 // groups)
    wide = x.double().reshape(2, groups, -1)
    std = (wide.var(2, correction=int(rule.unbiased)) + (0 if rule.eps == 0 else 1e-5)).sqrt()
    mean = wide.mean(2)
    for found, exact in ((recorder.mean[0], mean), (recorder.std[0], std)):
        assert found.shape == (2, 6)
        assert found.dtype == torch.float32
        expanded = exact.repeat_interleave(6 // groups, 1)
        assert torch.allclose(found.double(), expanded, rtol=1e-5, atol=1e-5)
    plain = ((wide - mean[..., None]) / std[..., None]).reshape(x.shape)
    assert torch.allclose(y.double(), plain, atol=1e-4 if dtype == torch.float32 else 0.02)
    assert y.is_contiguous(memory_format=layout)


def test_groups_of_single_pixels_are_finite():
    for rule in (AS_TRAINED, PUBLISHED_CELL):
        recorder = Recorder(rule)
        y = recorder(0, torch.randn(1, 4, 1, 1), 1e-5, 2)
        assert torch.isfinite(y).all()
        assert y.abs().sum() > 1  # unlike instance norm, a group of one pixel has a spread


def test_sequences_are_left_as_they_are():
    """Attention may normalize [n, c, length], which has no places in the image."""
    norm = nn.GroupNorm(2, 6)
    nn.init.normal_(norm.weight)
    layer = nn.Sequential(copy.deepcopy(norm))
    replace_norms(layer)
    x = torch.randn(2, 6, 17)
    assert torch.allclose(layer(x), norm(x), atol=1e-6)


def test_kinds_are_told_apart():
    assert norm_kind(nn.InstanceNorm2d(2)) == ("instance", True)
    assert norm_kind(nn.GroupNorm(1, 2)) == ("group", True)
    assert norm_kind(nn.BatchNorm2d(2).eval()) == ("batch", False)
    assert norm_kind(nn.BatchNorm2d(2).train()) == ("batch statistics", True)
    assert norm_kind(nn.BatchNorm2d(2, track_running_stats=False).eval()) == (
        "batch statistics",
        True,
    )
    assert norm_kind(nn.BatchNorm1d(2, track_running_stats=False)) == ("batch statistics", False)
    assert norm_kind(nn.LayerNorm(2)) == ("layer", False)
    assert norm_kind(nn.InstanceNorm1d(2)) == ("instance", False)
    assert norm_kind(nn.Conv2d(2, 2, 1)) is None


def test_layer_norms_of_positions_are_left_alone():
    layer = nn.Sequential(nn.LayerNorm(6), nn.GroupNorm(2, 6))
    assert replace_norms(layer).layers == 1
    assert isinstance(layer[0], nn.LayerNorm)
