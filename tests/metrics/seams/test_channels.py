"""Seams of channels that are no colours: measured over all of them, the worst one named."""

import numpy as np
import pytest
import tifffile
from recipes.test_channels import MARKERS, STAINED, generator

from uhrtranslate.evaluation.evaluator import ONLY_SEAMS
from uhrtranslate.evaluation.options import EvaluateOptions
from uhrtranslate.evaluation.page import write_report
from uhrtranslate.metrics.seams.measure import measure_seams
from uhrtranslate.metrics.seams.profiles import averaged, measure_channels, measure_profiles
from uhrtranslate.metrics.seams.ratio import channel_seam_ratios, seam_ratio
from uhrtranslate.tasks.evaluate import evaluate
from uhrtranslate.tasks.translate import translate

SIDE, TILE = 512, 64


def planted(step=12.0, count=4, worst=2):
    """Smooth noise in channels, of which one steps from tile to tile; [h, w, c] uint8."""
    random = np.random.default_rng(0)
    image = random.normal(120, 8, (SIDE, SIDE, count))
    tiles = random.normal(0, step, (SIDE // TILE, SIDE // TILE))
    image[..., worst] += np.kron(tiles, np.ones((TILE, TILE)))
    return np.rint(image).clip(0, 255).astype(np.uint8)


def reader(pixels):
    return lambda x, y, w, h: pixels[y : y + h, x : x + w]


def test_each_channel_has_its_own_ratio():
    pixels = planted()
    ratios = channel_seam_ratios(reader(pixels), SIDE, SIDE, TILE)
    assert np.argmax(ratios) == 2
    assert ratios[2] > 5
    assert max(ratios[:2] + ratios[3:]) < 1.6
    together = seam_ratio(reader(pixels), SIDE, SIDE, TILE, samples=32)
    assert max(ratios[:2]) < together < ratios[2]
    pixels[..., 0] = 7  # nothing steps
    assert channel_seam_ratios(reader(pixels), SIDE, SIDE, TILE)[0] == 1
    assert channel_seam_ratios(reader(pixels), 80, 80, TILE) is None


def test_a_channel_is_measured_as_a_grey_picture():
    pixels = planted()
    each = measure_channels(reader(pixels), SIDE, SIDE, 4)
    grey = np.repeat(pixels[..., 2:3], 3, axis=2)
    alone = measure_profiles(reader(grey), SIDE, SIDE)
    for axis in ("columns", "rows"):
        for figure in ("step", "gradient"):
            expected = getattr(getattr(alone, axis), figure)
            found = getattr(getattr(each[2], axis), figure)
            np.testing.assert_allclose(found, expected, rtol=1e-4)
    ratios = [measure_seams(one, TILE).ratio for one in each]
    assert np.argmax(ratios) == 2
    assert 1.5 < measure_seams(averaged(each), TILE).ratio < ratios[2]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_an_evaluation_names_the_worst_channel(tmp_path, kind):
    pixels = planted().astype(kind) * kind(257 if kind == np.uint16 else 1)
    image = tmp_path / "made.ome.tif"
    names = {"axes": "CYX", "Channel": {"Name": ["a", "b", "bad", "d"]}}
    tifffile.imwrite(image, pixels.transpose(2, 0, 1), metadata=names, tile=(64, 64))
    clean = tmp_path / "clean.ome.tif"
    tifffile.imwrite(clean, planted(0).transpose(2, 0, 1), metadata=names)
    found = evaluate(image, EvaluateOptions(grid=TILE, source=clean))
    seam = found.metrics["seam"]
    assert seam["worst_channel"] == "bad"
    assert seam["worst_channel_ratio"] > seam["ratio"] > 1.5
    assert seam["source_ratio"] == pytest.approx(1, abs=0.3)
    assert set(found.metrics) == {"seam"}
    assert ONLY_SEAMS in found.warnings
    page = write_report([found], tmp_path / "report")
    assert "made.ome.tif" in page.read_text()


def test_a_translation_says_it_of_its_channels(tmp_path):
    tifffile.imwrite(tmp_path / "he.tif", STAINED, photometric="rgb", tile=(64, 64))
    for bits in (8, 32):
        result = translate(
            tmp_path / "he.tif", tmp_path / f"{bits}.ome.tif", generator=generator(), bits=bits,
            cell=64, halo=48, compression="deflate",
        )  # fmt: skip
        assert 0.5 < result.seams < 2
        assert result.worst_channel in MARKERS
        assert result.worst_seams >= result.seams
