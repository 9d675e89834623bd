"""The benches of whole commands time what they say, and refuse a peer that does other work."""

import json
import subprocess
import sys

import numpy as np
import pytest
from support import REPOSITORY

from uhrtranslate.engine.native import build

ROWS = {"DN, eager": None, "DN, default": None, "peer, DN": None, "patch-IN, eager": None}
# Does the same work, by the eager forwards.
PEER = """
import sys
from uhrtranslate.cli import main
weights, source, target, norm = sys.argv[1:]
sys.argv[1:] = ["translate", source, "-o", target, "-q", "--model", weights, "--cell", "512",
                "--norm", norm, "--pad", "reflect", "--no-compile"]
main()
"""


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))
    import bench_process
    import bench_startup

    return bench_process, bench_startup


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)


def test_a_peer_is_timed_and_compared(scripts, picture, tmp_path):
    process, _ = scripts
    peer = tmp_path / "peer.py"
    peer.write_text(PEER)
    commands = process.Commands(tmp_path, picture, threads=1, peer=peer)
    process.save_weights(commands.weights, "kaminyou", blocks=1, ngf=32)
    row = commands.rows()["peer, DN"]()
    assert row["wall_s"] > 0
    assert row["mb"] > 10
    # Kernels and torch differ by their rounding.
    assert commands.grey("DN") < 0.1


def test_other_work_is_refused(scripts, picture):
    process, _ = scripts
    assert process.same_work(picture, picture, "peer.png") == 0
    with pytest.raises(SystemExit, match=r"peer.png: is .* grey levels off"):
        process.same_work(255 - picture, picture, "peer.png")
    with pytest.raises(SystemExit, match="shape"):
        process.same_work(picture[:32], picture, "peer.png")


def test_rows_are_picked_by_patterns(scripts):
    process, _ = scripts
    assert list(process.picked(ROWS, [])) == list(ROWS)
    assert list(process.picked(ROWS, ["peer*", "DN, e*"])) == ["DN, eager", "peer, DN"]
    with pytest.raises(SystemExit, match=r"--only 'DN': no such row; there are DN, eager"):
        process.picked(ROWS, ["DN"])


def test_rows_are_compared_with_their_likes(scripts):
    process, _ = scripts
    seconds = {"patch-IN, eager": 10, "DN, eager": 20, "DN, bf16": 8, "peer, DN": 40}
    rows = {name: {"wall_s": wall, "cpu_s": 2 * wall} for name, wall in seconds.items()}
    process.compared(rows)
    assert rows["DN, eager"]["of_patch_in"] == 2
    assert "of_patch_in" not in rows["DN, bf16"]
    assert rows["DN, bf16"]["faster"] == rows["DN, bf16"]["faster_cpu"] == 5
    assert "faster" not in rows["patch-IN, eager"]


def test_a_start_is_measured(scripts, picture, tmp_path):
    process, startup = scripts
    weights, source = tmp_path / "net.pth", tmp_path / "in.png"
    process.save_weights(weights, "cyclegan", blocks=1, ngf=8)
    process.Image.fromarray(picture).save(source)
    row = startup.measured(source, weights, "fp32", 1, tmp_path / "cache", "--no-compile")
    assert 0 < row["begun_cpu_s"] < row["ended_cpu_s"]
    assert 0 < row["begun_s"] < row["ended_s"]


@pytest.mark.parametrize(
    ("kernels", "layers"),
    [
        ("--no-compile", ["Conv2d 3x3, 128 to 128", "ConvTranspose2d 3x3, 64 to 32, stride 2"]),
        pytest.param(
            "--compile", ["WinogradConv2d 3x3, 128 to 128", "kernel convolve"],
            marks=pytest.mark.skipif(not build.available(), reason="no C++ compiler"),
        ),
    ],
)  # fmt: skip
def test_the_time_of_layers_adds_up(tmp_path, kernels, layers):
    """Own seconds of each kind, and the rest, are the whole process's."""
    script, report = REPOSITORY / "scripts" / "bench_layers.py", tmp_path / "layers.json"
    sizes = ["--side", "64", "--blocks", "1", "--ngf", "32", "--layout", "cyclegan"]
    subprocess.run(
        [sys.executable, str(script), *sizes, "--json", str(report), "--", kernels],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    rows = json.loads(report.read_text())["rows"]
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1)
    assert min(rows[layer][phase] for layer in layers for phase in ("statistics", "tiles")) > 0
    assert rows["Conv2d 3x3, 128 to 128"]["before"] > 0
    assert all(row["sum"] >= 0 for row in rows.values())
