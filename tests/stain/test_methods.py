"""Stain normalizers, against known stains, other people's code, and their own promises."""

import json

import numpy as np
import pytest
import skimage.data
import skimage.exposure
from PIL import Image

from uhrtranslate.errors import CheckpointError, InputError
from uhrtranslate.stain import colour_map, dump_fit, load_fit, pooled
from uhrtranslate.stain.density import angle, from_density, sparse_amounts
from uhrtranslate.stain.histogram import match
from uhrtranslate.stain.macenko import Macenko
from uhrtranslate.stain.reinhard import to_lab
from uhrtranslate.stain.stainnet import StainNet, distil, stainnet_from
from uhrtranslate.stain.stains import StainFit
from uhrtranslate.stain.vahadane import Vahadane
from uhrtranslate.tables import STAIN_METHODS

METHODS = {name: method() for name, method in STAIN_METHODS.items()}

STAINS = np.array([[0.65, 0.70, 0.29], [0.27, 0.90, 0.34]])
STAINS /= np.linalg.norm(STAINS, axis=1, keepdims=True)


def synthetic(stains=STAINS, count=40_000, seed=0):
    """Colours of tissue that is mostly of one stain or the other, as real tissue is."""
    rng = np.random.default_rng(seed)
    which = rng.random(count) < 0.4
    amounts = rng.gamma(4, 0.25, (count, 2))
    amounts[which, 1] *= 0.02
    amounts[~which, 0] *= 0.02
    return np.clip(from_density(amounts @ stains) + 0.5, 0, 255).astype(np.uint8)


@pytest.fixture(
    scope="module", params=["scikit-image", pytest.param("two-labs", marks=pytest.mark.shared)]
)
def patches(request):
    """Two patches that were stained differently: one and itself in other stains, or real H&E."""
    if request.param == "scikit-image":
        section = skimage.data.immunohistochemistry()
        # Densities times these: glass stays white, so stains are all that differs.
        return [section, np.round(255 * (section / 255) ** [1.4, 1.0, 0.8]).astype(np.uint8)]
    folder = request.getfixturevalue("shared") / "data" / "he-patches"
    names = ("torchstain-source.png", "torchstain-target.png")
    return [np.asarray(Image.open(folder / name).convert("RGB")) for name in names]


@pytest.mark.parametrize("method", [Macenko(), Vahadane()], ids=lambda m: m.name)
def test_known_stains_are_found(method):
    fit = method.fit(synthetic())
    for found, known in zip(fit.stains, STAINS, strict=True):
        assert angle(found, known) < 3


class TestAgainstTorchstain:
    @pytest.fixture(scope="class")
    @classmethod
    def torchstain(cls):
        return pytest.importorskip("torchstain")

    def test_macenko(self, torchstain, patches):
        source, target = patches
        theirs = torchstain.normalizers.MacenkoNormalizer(backend="numpy")
        theirs.fit(target)
        expected, _, _ = theirs.normalize(I=source, stains=False)
        ours, fits = Macenko(), []
        for image in (source, target):
            theirs.fit(image)
            found = ours.fit(image.reshape(-1, 3))
            for mine, known in zip(found.stains, theirs.HERef.T, strict=True):
                assert angle(mine, known) < 3
            # They take the amounts' 99th percentile over glass, too: the same fit is theirs.
            stains = theirs.HERef.T.tolist()
            fits.append(
                StainFit(haematoxylin=stains[0], second=stains[1], most=theirs.maxCRef.tolist())
            )
        found = ours.transform(source.reshape(-1, 3), *fits)
        assert np.abs(found.reshape(source.shape).astype(int) - expected).mean() < 2

    def test_reinhard(self, torchstain, patches):
        source, target = patches
        theirs = torchstain.normalizers.ReinhardNormalizer(backend="numpy")
        theirs.fit(target)
        expected = np.asarray(theirs.normalize(I=source)).astype(int)
        ours = METHODS["reinhard-plain"]
        fits = [ours.fit(image.reshape(-1, 3)) for image in (source, target)]
        found = ours.transform(source.reshape(-1, 3), *fits).reshape(source.shape)
        assert np.abs(found.astype(int) - expected).mean() < 2


def test_histograms_match_as_scikit_image_does(patches):
    source, target = patches
    # Channel by channel: with all three at once, scikit-image cuts decimals off.
    expected = np.stack(
        [skimage.exposure.match_histograms(source[..., c], target[..., c]) for c in range(3)], -1
    )
    method = METHODS["histogram"]
    fits = [method.fit(image.reshape(-1, 3)) for image in (source, target)]
    found = method.transform(source.reshape(-1, 3), *fits).reshape(source.shape)
    assert np.abs(found - np.floor(expected + 0.5)).max() == 0


def test_reinhard_gives_the_targets_mean_and_deviation(patches):
    source, target = (image.reshape(-1, 3)[::7] for image in patches)
    method = METHODS["reinhard-plain"]
    fits = [method.fit(colours) for colours in (source, target)]
    lab = to_lab(method.transform(source, *fits))
    # What does not fit into sRGB is clipped.
    assert np.abs(lab.mean(0) - fits[1].mean).max() < 2
    assert np.abs(lab.std(0) - fits[1].std).max() < 3


@pytest.mark.parametrize("name", METHODS)
class TestEveryMethod:
    def test_leaves_its_own_colours_alone(self, name, patches):
        colours = patches[0].reshape(-1, 3)[::5]
        fit = METHODS[name].fit(colours)
        found = colour_map(METHODS[name], fit, fit)(colours)
        # Two stains cannot make all colours: what is left over is lost.
        limit = 14 if name in ("macenko", "vahadane") else 1
        assert np.abs(found.astype(int) - colours).mean() < limit

    def test_keeps_white_white(self, name, patches):
        method = METHODS[name]
        fits = [method.fit(image.reshape(-1, 3)) for image in patches]
        glass = np.array([[255, 255, 255], [245, 244, 246], [238, 240, 239]], np.uint8)
        found = colour_map(method, *fits)(glass)
        assert np.array_equal(found, glass) == method.keeps_glass
        assert method.keeps_glass == (name != "reinhard-plain")

    def test_brings_colours_nearer(self, name, patches):
        method = METHODS[name]
        source, target = (image.reshape(-1, 3) for image in patches)
        fits = [method.fit(colours) for colours in (source, target)]
        mapped = colour_map(method, *fits)(source)
        before, after = (
            np.linalg.norm(to_lab(c).mean(0) - to_lab(target).mean(0)) for c in (source, mapped)
        )
        # At most 0.13 of it with scikit-image's section, 0.44 between the laboratories.
        assert after < before / 2

    def test_a_fit_survives_json(self, name, patches):
        method = METHODS[name]
        fit = method.fit(patches[0].reshape(-1, 3))
        saved = json.loads(json.dumps(dump_fit(method, fit)))
        assert load_fit(saved, method) == fit
        assert fit.distance(load_fit(saved, method)) == pytest.approx(0, abs=1e-4)
        assert fit.distance(method.fit(patches[1].reshape(-1, 3))) > 1

    @pytest.mark.parametrize(
        "content", [None, [], {}, {"version": 1}, {"version": 9, "fit": {}, "method": "macenko"}]
    )
    def test_what_is_no_fit_is_refused(self, name, content):
        with pytest.raises(InputError, match="no saved fit"):
            load_fit(content, METHODS[name])

    def test_fits_of_others_and_damaged_ones_are_refused(self, name):
        other = "macenko" if name != "macenko" else "histogram"
        with pytest.raises(InputError, match=f"a fit of {other}"):
            load_fit({"version": 1, "method": other, "fit": {}}, METHODS[name])
        with pytest.raises(InputError, match="damaged fit"):
            load_fit({"version": 1, "method": name, "fit": {"x": 1}}, METHODS[name])

    def test_bare_glass_cannot_be_fitted(self, name):
        with pytest.raises(InputError, match="needed"):
            METHODS[name].fit(np.full((50, 3), 250, np.uint8))


def test_sparse_amounts_are_the_minimum():
    rng = np.random.default_rng(0)
    density = rng.normal(0.4, 0.5, (200, 3))
    found = sparse_amounts(density, STAINS, 0.1)
    assert (found >= 0).all()

    def cost(amounts):
        return ((density - amounts @ STAINS) ** 2).sum(1) / 2 + 0.1 * amounts.sum(1)

    best = cost(found)
    for _ in range(300):
        other = (found + rng.normal(0, 0.1, found.shape)).clip(0)
        assert (best <= cost(other) + 1e-9).all()


def test_pooling_weighs_images_alike():
    few, many = np.zeros((100, 3), np.uint8), np.full((1000, 3), 9, np.uint8)
    both = pooled([few, many])
    assert (both == 9).mean() == 0.5


def test_tables_are_monotone():
    rng = np.random.default_rng(0)
    for _ in range(20):
        table = match(*rng.integers(0, 5, (2, 256)))
        assert (np.diff(table) >= 0).all()


class TestStainNet:
    def test_authors_layout(self):
        state = StainNet().state_dict()
        assert list(state) == [
            f"rgb_trans.{n}.{kind}" for n in (0, 2, 4) for kind in ("weight", "bias")
        ]
        assert sum(value.numel() for value in state.values()) == 1283
        assert stainnet_from(state).rgb_trans[0].weight.shape == (32, 3, 1, 1)

    def test_is_distilled_from_a_method(self, patches):
        method = METHODS["reinhard"]
        fits = [method.fit(image.reshape(-1, 3)) for image in patches]
        colours = patches[0].reshape(-1, 3)[::3]
        goals = colour_map(method, *fits)(colours)
        network = distil(colours, goals, steps=600)
        found = network.transform(colours)
        assert np.abs(found.astype(int) - goals).mean() < 3
        again = distil(colours, goals, steps=600)
        assert np.array_equal(again.transform(colours), found)

    def test_other_weights_are_refused(self):
        import torch

        with pytest.raises(CheckpointError, match="no StainNet"):
            stainnet_from({"a.weight": torch.zeros(3, 3, 3, 3)})
        with pytest.raises(CheckpointError, match="no StainNet"):
            stainnet_from({"a.weight": torch.zeros(8, 3, 1, 1)})
