"""`uhrt translate` as a user runs it."""

import json
import re
import signal
import subprocess

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image
from support import UHRT, interrupted

TINY = ("--model", "tiny.safetensors")


def partial_files(folder):
    return [path for path in folder.rglob("*") if "uhrt-partial" in path.name]


def test_a_slide_becomes_a_pyramid_beside_it(uhrt, folder):
    run = uhrt("translate", "slide.tif", *TINY, "--preview")
    assert run.returncode == 0, run.stderr
    assert run.stdout == "slide.pooled.tif\n"
    assert re.search(r"pooled on cpu, fp32, (not )?compiled.*, cells of 128 px", run.stderr)
    output = folder / "slide.pooled.tif"
    with openslide.OpenSlide(output) as slide:
        assert slide.dimensions == (512, 700)
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5, rel=1e-3)
    with tifffile.TiffFile(output) as tiff:
        how = json.loads(tiff.pages[0].description)
        assert (how["norm"], how["model"], how["cell"]) == ("pooled", "tiny", 128)
    with Image.open(folder / "slide.pooled.preview.png") as preview:
        assert preview.size == (2 * 512 + 8, 700)
    assert not partial_files(folder)


@pytest.mark.slow
def test_speed_can_be_chosen(uhrt, folder, tmp_path):
    """Precision, devices, batches, and where the time went."""
    tif = tmp_path / "out.tif"
    trace = tmp_path / "trace.json"

    def run(*more):
        done = uhrt(
            "translate", "slide.tif", *TINY, "-o", tif, "--overwrite", "--json",
            "--compression", "none", *more,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), tifffile.imread(tif, level=0), done.stderr

    record, exact, _ = run("--tile", "128", "--profile", trace)
    assert set(record["stages"]) == {"read", "statistics", "dense", "write"}
    assert 0 < sum(record["stages"].values()) < record["seconds"]
    assert 0 < record["device_seconds"] < record["seconds"]
    names = {event["name"] for event in json.loads(trace.read_text())["traceEvents"]}
    assert {"read", "dense", "write", "tiles", "statistics of cells"} <= names
    record, shared, _ = run("--tile", "128", "--device", "cpu,cpu", "--batch", "auto")
    assert record["device"] == "cpu,cpu"
    assert np.array_equal(shared, exact)
    record, chosen, told = run("--precision", "auto")
    assert record["precision"] in ("fp32", "bf16")
    assert "grey levels from fp32" in told
    assert np.abs(chosen.astype(int) - exact).mean() < 1
    record, reduced, _ = run("--stats-precision", "bf16")
    assert 0 < np.abs(reduced.astype(int) - exact).mean() < 1
    assert record["precision"] == "fp32"
    assert uhrt("translate", "slide.tif", *TINY, "--device", "cpu,cuda:7").returncode == 2


@pytest.mark.slow
def test_the_last_output_is_kept_unless_told(uhrt, folder, tmp_path):
    target = tmp_path / "out.tif"
    target.write_text("precious")
    run = uhrt("translate", "slide.tif", *TINY, "-o", target)
    assert run.returncode == 1
    assert run.stdout == ""
    assert "--overwrite" in run.stderr
    assert target.read_text() == "precious"
    assert uhrt("translate", "slide.tif", *TINY, "-o", target, "--overwrite").returncode == 0
    assert tifffile.imread(target).shape == (700, 512, 3)


@pytest.mark.slow
def test_folders_lists_and_failures_in_json(uhrt, folder, tmp_path):
    (tmp_path / "broken.svs").write_text("not a slide")
    items = f"slide.tif\n\n{tmp_path / 'broken.svs'}\nnowhere.tif\nmore\n"
    out = tmp_path / "out"
    run = uhrt("translate", "-", *TINY, "-o", out, "--json", "--norm", "in", stdin=items)
    assert run.returncode == 1
    records = [json.loads(line) for line in run.stdout.splitlines()]
    assert [r["status"] for r in records] == ["done", "failed", "failed", "done"]
    assert [r["input"] for r in records] == [
        "slide.tif",
        str(tmp_path / "broken.svs"),
        "nowhere.tif",
        "more/slide.png",
    ]
    assert all(r["error"] and r["output"] is None for r in records[1:3])
    # The same stem from two places: neither overwrites the other.
    assert {r["output"] for r in records if r["output"]} == {
        str(out / "slide.tif.in.tif"),
        str(out / "slide.png.in.tif"),
    }
    assert records[0]["width"] == 512
    assert records[0]["mpp"] == pytest.approx([0.5, 0.5], rel=1e-3)
    assert not partial_files(tmp_path)


def test_a_folder_keeps_its_layout(uhrt, tmp_path):
    run = uhrt(
        "translate", ".", *TINY, "-o", tmp_path / "out", "-q", "--norm", "tin", "--overwrite"
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    made = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.tif")}
    assert {"slide.tin.tif", "photo.tin.tif", "more/slide.tin.tif"} <= made


def test_a_photo_becomes_a_photo(uhrt, tmp_path):
    target = tmp_path / "photo.jpg"
    run = uhrt("translate", "photo.png", *TINY, "-o", target, "--norm", "kin", "--kernel", "5")
    assert run.returncode == 0, run.stderr
    with Image.open(target) as photo:
        assert photo.size == (600, 400)


@pytest.mark.slow
def test_region_level_and_mpp(uhrt, tmp_path):
    cases = (
        (["--region", "100,200,300,150"], (300, 150), 0.5),
        (["--mpp", "1.0"], (256, 350), 1.0),
        (["--mpp", "1.25", "--region", "0,0,500,500"], (200, 200), 1.25),
        (["--level", "0"], (512, 700), 0.5),
    )
    for i, (how, size, mpp) in enumerate(cases):
        target = tmp_path / f"{i}.tif"
        run = uhrt("translate", "slide.tif", *TINY, "-o", target, "-q", *how)
        assert run.returncode == 0, run.stderr
        with openslide.OpenSlide(target) as slide:
            assert slide.dimensions == size
            assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(mpp, rel=1e-3)


def test_the_result_is_that_of_the_python_api(uhrt, folder, tmp_path):
    import uhrtranslate

    uhrt("translate", "slide.tif", *TINY, "-o", tmp_path / "cli.tif", "--compression", "deflate")
    result = uhrtranslate.translate(
        folder / "slide.tif",
        tmp_path / "api.tif",
        model=str(folder / "tiny.safetensors"),
        compression="deflate",
        tile=256,
    )
    assert result.status == "done"
    cli, api = (tifffile.imread(tmp_path / f"{name}.tif") for name in ("cli", "api"))
    assert cli.std() > 10
    assert np.abs(cli.astype(int) - api).max() <= 1


@pytest.mark.slow
def test_the_same_job_gives_the_same_file(uhrt, tmp_path):
    for name, workers in (("a.tif", 1), ("b.tif", 4)):
        uhrt("translate", "slide.tif", *TINY, "-o", tmp_path / name, "--workers", workers)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_a_config_fills_in_and_flags_win(uhrt, folder, tmp_path):
    config = tmp_path / "options.yaml"
    config.write_text("norm: kin\nkernel-type: gaussian\nmodel: tiny.safetensors\ncell: 64\n")
    run = uhrt("translate", "photo.png", "-c", config, "--cell", 128, "--json", "-o", tmp_path)
    assert run.returncode == 0, run.stderr
    record = json.loads(run.stdout)
    assert (record["norm"], record["cell"]) == ("kin", 128)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nowhere.svs"], 1, "nowhere.svs: does not exist"),
        (["empty-folder"], 1, "has no images"),
        (["*.nothing"], 1, "matches no images"),
        (["slide.tif", "--model", "nowhere.pth"], 1, "nowhere.pth"),
        (["slide.tif", "--model", "photo.png"], 1, "photo.png"),
        (["slide.tif", "--norm", "bn"], 2, "bn"),
        (["slide.tif", "--region", "0,0,9999,10"], 1, "512 x 700"),
        (["slide.tif", "--region", "0,0,10"], 2, "region"),
        (["slide.tif", "--region", "a,b,c,d"], 2, "X,Y,W,H"),
        (["slide.tif", "--level", "3"], 1, "level 0"),
        (["slide.tif", "--mpp", "0.1"], 1, "finer"),
        (["photo.png", "--mpp", "1"], 1, "does not say its mpp"),
        (["slide.tif", "--level", "0", "--mpp", "1"], 2, "exclude"),
        (["slide.tif", "--kernel", "4"], 2, "odd"),
        (["slide.tif", "--cell", "130"], 2, "multiple of 4"),
        (["slide.tif", "--halo", "3"], 2, "multiple of 4"),
        (["slide.tif", "--tile", "big"], 2, "tile"),
        (["slide.tif", "--quality", "101"], 2, "quality"),
        (["slide.tif", "--device", "cuda:7"], 2, "cuda:7"),
        (["slide.tif", "--device", "toaster"], 2, "toaster"),
        (["slide.tif", "--config", "nowhere.yaml"], 2, "nowhere.yaml"),
        (["slide.tif", "photo.png", "-o", "one.tif"], 2, "name a folder"),
        (["slide.tif", "-o", "out.xyz/../photo.png/x"], 1, "photo.png"),
        (["slide.tif", "-o", "slide.tif", "--overwrite"], 1, "input itself"),
        (["--nonsense"], 2, "nonsense"),
        (["-"], 2, "empty"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_input_gets_one_sentence(folder, monkeypatch, capsys, arguments, code, sentence):
    """In this process, through the program's own entry: a subprocess each would take minutes."""
    from uhrtranslate.cli.app import run_program

    monkeypatch.chdir(folder)
    (folder / "empty-folder").mkdir(exist_ok=True)
    before = {path: path.stat().st_size for path in folder.rglob("*")}
    model = [] if "--model" in arguments else [*TINY]
    monkeypatch.setattr("sys.argv", ["uhrt", "translate", *arguments, *model])
    monkeypatch.setattr("sys.stdin", iter([]))
    with pytest.raises(SystemExit) as stop:
        run_program()
    printed = capsys.readouterr()
    assert stop.value.code == code, printed.err
    assert sentence in printed.err.replace("\n", " ")
    assert printed.out == ""
    assert "Traceback" not in printed.err
    assert len([line for line in printed.err.splitlines() if line.startswith("uhrt: ")]) <= 1
    assert {path: path.stat().st_size for path in folder.rglob("*")} == before


@pytest.mark.parametrize("output", [[], ["-o", "b" * 300], ["-o", f"{'b' * 300}.tif"]])
def test_a_name_too_long_is_one_sentence(uhrt_here, folder, tmp_path, output):
    """The longest name that files have, to which nothing can be added; the next input goes on."""
    (tmp_path / f"{'a' * 251}.png").symlink_to(folder / "photo.png")
    (tmp_path / "b.png").symlink_to(folder / "more" / "slide.png")
    inputs = [tmp_path / "b.png"] if output else [tmp_path]
    done = uhrt_here("translate", *inputs, *output, *TINY, "--cell", 128)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "its name is too long; choose a shorter one with -o" in done.stderr
    if not output:
        assert done.stdout.split() == [str(tmp_path / "b.pooled.tif")]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_to_go_on(folder, tmp_path, number):
    big = tmp_path / "big.tif"
    pixels = np.random.default_rng(0).integers(0, 256, (4000, 4000, 3), np.uint8)
    tifffile.imwrite(big, pixels, tile=(512, 512), photometric="rgb")
    command = [
        UHRT, "translate", big, "--model", folder / "tiny.safetensors", "-o", tmp_path / "o.tif",
        "--tile", "512",
    ]  # fmt: skip
    interrupted(command, number, tmp_path / "o.tif.uhrt-partial" / "state")
    assert not (tmp_path / "o.tif").exists()
    again = subprocess.run([*command, "--resume"], capture_output=True, text=True, timeout=120)
    assert again.returncode == 0
    assert "resumed at" in again.stderr
    assert not partial_files(tmp_path)


@pytest.mark.slow
def test_a_closed_pipe_is_no_traceback(folder, tmp_path):
    shell = (
        f"'{UHRT}' translate slide.tif photo.png --model tiny.safetensors "
        f"-o '{tmp_path}' --norm in --pad reflect | head -c 0"
    )
    run = subprocess.run(
        ["bash", "-c", shell], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert "Traceback" not in run.stderr
