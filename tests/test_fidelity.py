"""The bench that judges fields runs, gives every normalizer's figures, and means what it says."""

import json
import os
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
import skimage.data
import tifffile
from support import REPOSITORY, small_resnet

from uhrtranslate import load_generator, translate
from uhrtranslate.engine import measure_halo
from uhrtranslate.options import TranslateOptions
from uhrtranslate.tables import NORMALIZERS

SCRIPTS = REPOSITORY / "scripts"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))


PAGE = (REPOSITORY / "docs/fidelity.md").read_text()
QUICK, WHOLE = re.search(r"^```sh\n(.*)\n(.*)\n```", PAGE, re.M).groups()


def bench(command, folder, *more):
    """Run a command of the page that begins with `python scripts/`."""
    program, script, *options = shlex.split(command)
    assert program == "python"
    done = subprocess.run(
        [sys.executable, REPOSITORY / script, *options, *more],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=folder, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_bench_judges_every_normalizer_and_goes_on_from_its_cache(tmp_path):
    known = ("--seeds", "0", "--json", "report.json")
    printed = bench(QUICK, tmp_path, *known)
    report = json.loads((tmp_path / "report.json").read_text())
    assert "trained e0-" in printed
    fields = report["summary"]["e"]
    assert {name.split()[0] for name in fields} == {"untiled", *NORMALIZERS}
    for figures in fields.values():
        assert 3 < figures["all"] < 60
        assert -1 <= figures["rank"] <= 1
        gain, low, high = figures["all gain"]
        assert low <= gain + 1e-9
        assert gain <= high + 1e-9
    assert fields["dn"]["all gain"] == [0, 0, 0]
    again = bench(QUICK, tmp_path, *known, "--fields", "dn", "half-2")
    assert "trained" not in again
    same = json.loads((tmp_path / "report.json").read_text())
    assert same["summary"]["e"]["dn"] == fields["dn"]


def test_the_page_speaks_of_what_there_is(tmp_path):
    from fidelity_candidates import CANDIDATES
    from fidelity_tasks import TASKS

    listed = bench(WHOLE, tmp_path, "--help")
    assert all(option in listed for option in re.findall(r" (--[a-z]+)", WHOLE))
    assert re.findall(r"^\| ([a-z]) \| ", PAGE, re.M) == list(TASKS)
    named = set(re.findall(r"`([a-z]+-[\d.]+)`", PAGE))
    assert "within-2" in named
    assert named <= CANDIDATES.keys()
    assert all(
        any(f"{name}-" in one for one in CANDIDATES) for name in ("robust", "inside", "again")
    )


@pytest.mark.parametrize("norm", NORMALIZERS)
def test_what_is_judged_is_what_the_tool_translates(tmp_path, norm):
    from fidelity_fields import Remembering, by_normalizer

    pixels = skimage.data.astronaut()[:150, :170]
    tifffile.imwrite(tmp_path / "in.tif", pixels, photometric="rgb")
    network = small_resnet(ngf=4, n_blocks=1)
    translate(
        tmp_path / "in.tif", tmp_path / "out.tif", generator=load_generator(network), norm=norm,
        cell=64, compression="deflate",
    )  # fmt: skip
    runner = Remembering(load_generator(network))
    normalizer = NORMALIZERS[norm].chosen(TranslateOptions(norm=norm))
    made = by_normalizer(runner, normalizer, pixels, 64, measure_halo(runner))
    difference = np.abs(made.astype(int) - tifffile.imread(tmp_path / "out.tif"))
    assert difference.max() <= 1


def test_answers_are_of_pixels_or_of_their_surroundings():
    from fidelity_tasks import crowded, restained

    pixels = skimage.data.immunohistochemistry()[:96, :96]
    changed = pixels.copy()
    changed[40:56, 40:56] //= 2
    here = np.zeros((96, 96), bool)
    here[40:56, 40:56] = True
    by_pixel = (restained(pixels) != restained(changed)).any(axis=2)
    assert by_pixel[here].any()
    assert not by_pixel[~here].any()
    by_surroundings = (crowded(pixels) != crowded(changed)).any(axis=2)
    assert by_surroundings[~here].any()
    assert not by_surroundings[:8].any()
    glass = np.full((8, 8, 3), 246, np.uint8)
    assert restained(glass).min() > 250
    assert crowded(glass).min() > 240


@pytest.mark.shared
def test_the_scanners_lie_on_each_other(shared):
    from fidelity_tasks import scanners
    from skimage.registration import phase_cross_correlation

    a, b = (x.astype(float).mean(axis=2) for x in scanners(shared / "data"))
    for y, x in ((300, 300), (300, 1500), (1500, 1200)):
        one, two = (image[y : y + 400, x : x + 400] for image in (a, b))
        shift = phase_cross_correlation(two, one, upsample_factor=10)[0]
        assert np.abs(shift).max() <= 0.5
