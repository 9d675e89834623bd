"""The bench of digital staining measures what it says, LPIPS too where weights are given."""

import numpy as np
import pytest
import skimage.data
from extractors.test_lpips import random_weights
from support import REPOSITORY

from uhrtranslate.extractors.lpips import Lpips

TRUTH = skimage.data.immunohistochemistry()[:300, :300]


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))
    import bench_digital_staining

    return bench_digital_staining


@pytest.fixture
def rows(bench, tmp_path, capsys):
    """Cells of what a judge prints of two results, by whether weights of LPIPS are given."""
    noisy = np.clip(TRUTH + np.random.default_rng(0).normal(0, 20, TRUTH.shape), 0, 255)
    classifiers = [bench.Classifier(TRUTH, 0, steps=5)]

    def measured(lpips):
        judge = bench.Judge(TRUTH, classifiers, lpips)
        for name, result in (("noisy", noisy.astype(np.uint8)), ("half", TRUTH // 2)):
            judge.show(name, [result])
        lines = capsys.readouterr().out.splitlines()
        return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]

    *_, backbone, heads = random_weights("alex", tmp_path)
    return {"given": measured(Lpips(backbone, heads)), "none": measured(None)}


def test_lpips_is_measured_where_weights_are_given(rows):
    for row in rows["given"]:
        assert float(row[3]) > 0
    assert [row[3] for row in rows["none"]] == ["", ""]
    drop = [[cell for i, cell in enumerate(row) if i != 3] for row in rows["given"]]
    assert drop == [[cell for i, cell in enumerate(row) if i != 3] for row in rows["none"]]


def test_noise_costs_what_it_should(rows):
    psnr, ssim = (float(cell) for cell in rows["none"][0][1:3])
    assert psnr == pytest.approx(20 * np.log10(255 / 20), abs=0.5)
    assert ssim < 0.9
