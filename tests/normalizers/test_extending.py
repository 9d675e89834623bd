"""A normalizer is one file and one line of a table."""

import numpy as np
import pytest
import skimage.data
from extending import package_with, run_uhrt
from PIL import Image

TABLE_ENTRY = '"mine": "normalizers.mine:Mine",'
FILE = '''
"""The mean of all cells of a window."""

from dataclasses import dataclass

import torch

from uhrtranslate.normalizers.base import Normalizer


@dataclass(frozen=True)
class Mine(Normalizer):
    def weights(self, position, cells):
        return torch.full((len(position), cells), 1 / cells, dtype=torch.float64)
'''


@pytest.mark.slow
def test_a_new_normalizer_translates(tmp_path):
    package = package_with(
        tmp_path / "copy", "normalizers/mine.py", FILE, "NORMALIZERS", TABLE_ENTRY
    )
    Image.fromarray(skimage.data.immunohistochemistry()[:96, :128]).save(tmp_path / "a.png")
    common = ("translate", "a.png", "--cell", 64, "--halo", 0, "--norm")
    done = run_uhrt(package, *common, "mine", "-o", "mine.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert np.asarray(Image.open(tmp_path / "mine.png")).shape == (96, 128, 3)
    done = run_uhrt(package, *common, "yours", cwd=tmp_path)
    assert done.returncode == 2
    assert "mine" in done.stderr
