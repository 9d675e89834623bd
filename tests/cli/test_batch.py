"""Many inputs in one run, as a user starts it."""

import csv
import json
import shutil

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

pytestmark = pytest.mark.slow
MODEL = ("--model", "tiny.safetensors")


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def record(folder):
    return json.loads((folder / "uhrt-run.json").read_text())


class TestTheRecord:
    def test_has_every_input_and_how_it_was_made(self, uhrt, folder, tmp_path):
        (tmp_path / "in").mkdir()
        shutil.copy(folder / "slide.tif", tmp_path / "in")
        (tmp_path / "in" / "bad.tif").write_bytes(b"no image at all")
        out = tmp_path / "out"
        done = uhrt("translate", tmp_path / "in", "gone.svs", "-o", out, *MODEL)
        assert done.returncode == 1
        run = record(out)
        assert run["versions"]["uhrt"]
        assert run["versions"]["torch"]
        assert run["started"] <= run["finished"]
        bad, good, gone = run["inputs"]
        assert (bad["status"], good["status"], gone["status"]) == ("failed", "done", "failed")
        assert "bad.tif" in bad["error"]
        assert good["output"] == str(out / "slide.dn.tif")
        assert good["pixels"] == 700 * 512
        assert good["tiles"] >= 1
        assert good["seconds"] > 0
        assert good["options"]["norm"] == "dn"
        assert good["versions"] == run["versions"]
        assert 0.3 < good["seams"] < 3
        assert "gone.svs" in gone["error"]

    def test_names_failures_again_at_the_end(self, uhrt, tmp_path):
        done = uhrt("translate", "photo.png", "gone.svs", "slide.tif", "-o", tmp_path, *MODEL)
        assert done.returncode == 1
        assert len(done.stdout.splitlines()) == 2
        assert done.stderr.splitlines()[-2:] == [
            "uhrt: 1 of 3 inputs failed:",
            "  gone.svs: does not exist; check the path.",
        ]

    def test_is_not_written_for_single_files(self, uhrt, tmp_path):
        assert uhrt("translate", "photo.png", "-o", tmp_path / "a.tif", *MODEL).returncode == 0
        assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


class TestSkipping:
    @pytest.fixture
    def out(self, uhrt, tmp_path):
        uhrt("translate", "slide.tif", "-o", tmp_path, *MODEL)
        return tmp_path

    def test_complete_outputs_are_kept(self, uhrt, out):
        before = (out / "slide.dn.tif").stat()
        for flag in ("--skip-existing", "--resume"):
            done = uhrt("translate", "slide.tif", "photo.png", "-o", out, flag, "--json", *MODEL)
            assert done.returncode == 0, done.stderr
            first, second = lines(done)
            assert first["status"] == "skipped"
            assert first["output"] == str(out / "slide.dn.tif")
            assert second["status"] == ("done" if flag == "--skip-existing" else "skipped")
        after = (out / "slide.dn.tif").stat()
        assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)

    @pytest.mark.parametrize("damage", ["cut", "hole", "empty"])
    def test_incomplete_outputs_are_made_again(self, uhrt, out, damage):
        target = out / "slide.dn.tif"
        whole = target.read_bytes()
        with tifffile.TiffFile(target) as tiff:
            page = tiff.pages[0]
            offset, length = page.dataoffsets[0], page.databytecounts[0]
        if damage == "cut":
            target.write_bytes(whole[:-5000])
        elif damage == "hole":
            target.write_bytes(whole[:offset] + bytes(length) + whole[offset + length :])
        else:
            target.write_bytes(b"")
        (line,) = lines(
            uhrt("translate", "slide.tif", "-o", out, "--skip-existing", "--json", *MODEL)
        )
        assert line["status"] == "done"
        assert target.read_bytes() == whole

    def test_outputs_made_otherwise_are_not_taken_for_it(self, uhrt, out):
        before = (out / "slide.dn.tif").read_bytes()
        done = uhrt("translate", "slide.tif", "-o", out, "--skip-existing", "--cell", "64", *MODEL)
        assert done.returncode == 1
        assert "was made otherwise; use --overwrite" in done.stderr
        assert (out / "slide.dn.tif").read_bytes() == before

    def test_skipping_and_overwriting_exclude_each_other(self, uhrt, out):
        done = uhrt("translate", "slide.tif", "-o", out, "--skip-existing", "--overwrite", *MODEL)
        assert done.returncode == 2


class TestTheManifest:
    @pytest.fixture
    def table(self, folder, tmp_path):
        for name in ("slide.tif", "photo.png", "tiny.safetensors"):
            shutil.copy(folder / name, tmp_path)

        def write(*rows, header=("path", "output", "model", "mpp", "region")):
            with (tmp_path / "in.csv").open("w", newline="") as file:
                csv.writer(file).writerows([header, *rows])
            return tmp_path / "in.csv"

        return write

    def test_rows_have_their_own_options(self, uhrt, table, tmp_path):
        model = str(tmp_path / "tiny.safetensors")
        manifest = table(
            ("slide.tif", "", "", "", ""),
            ("slide.tif", "half.tif", model, "1.0", ""),
            ("slide.tif", "deep/part.png", "", "", "10,20,300,200"),
            ("gone.svs", "", "", "", ""),
        )
        done = uhrt("translate", "--manifest", manifest, "-o", tmp_path / "out", "--json", *MODEL)
        assert done.returncode == 1
        whole, half, part, gone = lines(done)
        assert (whole["width"], whole["height"]) == (512, 700)
        assert whole["output"] == str(tmp_path / "out" / "slide.dn.tif")
        assert (half["width"], half["height"]) == (256, 350)
        assert half["output"] == str(tmp_path / "out" / "half.tif")
        assert half["mpp"] == pytest.approx([1, 1])
        assert (part["width"], part["height"]) == (300, 200)
        assert (tmp_path / "out" / "deep" / "part.png").is_file()
        assert "line 5" in gone["error"]

    def test_without_a_folder_outputs_lie_beside_the_table(self, uhrt_here, table, tmp_path):
        absolute = tmp_path / "elsewhere" / "a.png"
        manifest = table(
            ("photo.png", "deep/part.png", "", "", "0,0,64,64"),
            ("photo.png", absolute, "", "", "0,0,64,64"),
        )
        model = ("--model", tmp_path / "tiny.safetensors")
        assert uhrt_here("translate", "--manifest", manifest, *model).returncode == 0
        assert (tmp_path / "deep" / "part.png").is_file()
        done = uhrt_here("translate", "--manifest", manifest, *model, "-o", tmp_path / "out")
        assert (tmp_path / "out" / "deep" / "part.png").is_file()
        assert absolute.is_file()  # whatever the folder
        assert "exists already" in done.stderr

    @pytest.mark.parametrize(
        ("rows", "header", "reason"),
        [
            ([("slide.tif",)], ("file",), "column 'file'"),
            ([("slide.tif", "x")], ("path", "norm"), "column 'norm'"),
            ([("", "a.tif")], ("path", "output"), "line 2 has no path"),
            ([("slide.tif", "much")], ("path", "mpp"), "line 2: mpp"),
            ([("slide.tif", "1,2")], ("path", "region"), "line 2: region"),
            ([("slide.tif", "x")], ("path",), "line 2 has more fields"),
            ([("slide.tif", "a.tif"), ("photo.png", "a.tif")], ("path", "output"), "both"),
            ([], ("path",), "the list is empty"),
        ],
    )
    def test_wrong_tables_are_refused(self, uhrt, table, rows, header, reason):
        done = uhrt("translate", "--manifest", table(*rows, header=header), *MODEL)
        assert done.returncode == 2
        assert reason in done.stderr
        assert len(done.stderr.splitlines()) == 1

    def test_a_manifest_that_is_not_there_is_named(self, uhrt, tmp_path):
        done = uhrt("translate", "--manifest", tmp_path / "gone.csv", *MODEL)
        assert done.returncode == 2
        assert "gone.csv: cannot be read as CSV" in done.stderr


class TestADryRun:
    def test_says_what_it_would_take(self, uhrt, tmp_path):
        out = tmp_path / "out"
        arguments = ("translate", "slide.tif", "gone.svs", "photo.png", "-o", out, *MODEL)
        done = uhrt(*arguments, "--dry-run", "--json")
        assert done.returncode == 1
        assert not out.exists()
        slide, gone, photo = lines(done)
        assert slide["status"] == photo["status"] == "planned"
        assert (slide["width"], slide["height"], slide["cell"]) == (512, 700, 128)
        assert slide["cells"] == 4 * 6
        assert slide["seconds"] > 0
        assert gone["status"] == "failed"
        real = lines(uhrt(*arguments, "--json"))[0]
        assert slide["output"] == real["output"]
        assert slide["tiles"] == real["tiles"]
        size = (out / "slide.dn.tif").stat().st_size
        assert size / 3 < slide["bytes"] < 3 * size
        again = lines(uhrt(*arguments, "--dry-run", "--json"))
        assert [line.get("exists") for line in again] == [True, False, True]

    def test_has_a_line_for_people(self, uhrt, tmp_path):
        done = uhrt("translate", "slide.tif", "-o", tmp_path, "--dry-run", *MODEL)
        assert done.returncode == 0
        assert done.stdout.strip() == str(tmp_path / "slide.dn.tif")
        assert "512 x 700 px, 24 cells of 128 px" in done.stderr


class TestMasks:
    """The left half of the slide is tissue."""

    @pytest.fixture
    def masks(self, tmp_path):
        half = np.zeros((70, 51), np.uint8)
        half[:, :26] = 255
        Image.fromarray(half).save(tmp_path / "mask.png")
        ring = [[0, 0], [250, 0], [250, 700], [0, 700], [0, 0]]
        shape = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}
        geojson = {"type": "FeatureCollection", "features": [shape | {"properties": {}}]}
        (tmp_path / "mask.geojson").write_text(json.dumps(geojson))
        return tmp_path

    @pytest.mark.parametrize("name", ["mask.png", "mask.geojson"])
    def test_of_files_leave_the_rest_alone(self, uhrt, masks, name):
        out = masks / "out.png"
        done = uhrt(
            "translate", "slide.tif", "-o", out, "--mask", masks / name, "--background", "#102030",
            "--json", *MODEL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        (line,) = lines(done)
        assert line["tissue"] == pytest.approx(0.5, abs=0.26)
        pixels = np.asarray(Image.open(out))
        assert (pixels[:, 420:] == (0x10, 0x20, 0x30)).all()
        assert (pixels[:, :200] != (0x10, 0x20, 0x30)).any(axis=2).mean() > 0.99

    def test_auto_keeps_tissue(self, uhrt, masks):
        done = uhrt(
            "translate", "slide.tif", "-o", masks / "a.tif", "--mask", "auto", "--json", *MODEL
        )
        (line,) = lines(done)
        assert line["tissue"] > 0.8

    @pytest.mark.parametrize(
        ("more", "code", "reason"),
        [
            (("--mask", "gone.png"), 1, "gone.png: does not exist"),
            (("--mask", "photo.png"), 1, "another shape"),
            (("--mask", "auto", "--background", "no-colour"), 2, "--background no-colour"),
        ],
    )
    def test_that_do_not_fit_are_refused(self, uhrt, masks, more, code, reason):
        done = uhrt("translate", "slide.tif", "-o", masks / "a.tif", *more, *MODEL)
        assert done.returncode == code
        assert reason in done.stderr
        assert not (masks / "a.tif").exists()


class TestFormats:
    @pytest.mark.parametrize(
        ("more", "name"),
        [
            (("--format", "ome-tiff"), "slide.dn.ome.tif"),
            (("--format", "svs"), "slide.dn.svs"),
            (("--format", "ome-zarr"), "slide.dn.ome.zarr"),
            (("--format", "ome-zarr-0.5"), "slide.dn.v05.ome.zarr"),
            (("--format", "ome-zarr-sharded"), "slide.dn.sharded.ome.zarr"),
        ],
    )
    def test_give_the_name_its_ending(self, uhrt, tmp_path, more, name):
        for _ in range(2):
            done = uhrt("translate", "slide.tif", "-o", tmp_path, "--resume", *more, *MODEL)
            assert done.returncode == 0, done.stderr
            assert done.stdout.strip() == str(tmp_path / name)
        assert "is there already, complete" in done.stderr
        assert uhrt("validate", tmp_path / name).returncode == 0

    def test_keep_associated_images_only_where_asked(self, uhrt, folder, tmp_path):
        aperio = "Aperio Image Library v12\n512x700 |AppMag = 20|MPP = 0.5"
        pixels = tifffile.imread(folder / "slide.tif")
        source = tmp_path / "with-label.svs"
        with tifffile.TiffWriter(source) as tiff:
            tiff.write(
                pixels, tile=(256, 256), photometric="rgb", description=aperio, metadata=None
            )
            tiff.write(pixels[::8, ::8].copy(), photometric="rgb", metadata=None)
            text = "Aperio Image Library v12\nlabel 40x30"
            tiff.write(
                pixels[:30, :40], photometric="rgb", subfiletype=1, description=text, metadata=None
            )
        for more, expected in (((), set()), (("--keep-associated",), {"label", "thumbnail"})):
            out = tmp_path / f"out{len(more)}.svs"
            assert uhrt("translate", source, "-o", out, *more, *MODEL).returncode == 0
            with openslide.OpenSlide(out) as slide:
                assert set(slide.associated_images) == expected
                assert slide.properties["openslide.objective-power"] == "20"


def test_no_input_at_all_is_wrong_usage(uhrt):
    done = uhrt("translate", *MODEL)
    assert done.returncode == 2
    assert "no inputs" in done.stderr


def test_one_input_that_is_not_there_is_named(uhrt, tmp_path):
    done = uhrt("translate", "gone.svs", "-o", tmp_path / "out.tif", *MODEL)
    assert done.returncode == 1
    assert "gone.svs: does not exist; check the path." in done.stderr
    assert not list(tmp_path.iterdir())
