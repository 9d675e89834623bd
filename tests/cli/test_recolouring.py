"""`uhrt stain-normalize` and `uhrt enhance`, as a user starts them."""

import csv
import json

import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image
from support import small_resnet

from uhrtranslate.enhance import Matching, Tally, illuminance, match
from uhrtranslate.models import GeneratorInfo, save_native

pytestmark = pytest.mark.slow
SECTION = skimage.data.immunohistochemistry()


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Three slides of one section in different colours, a reference, bare glass, a dark field."""
    desk = tmp_path_factory.mktemp("colours")
    (desk / "in").mkdir()
    for number, tint in enumerate(((1, 1, 1), (0.9, 1.0, 1.1), (1.3, 0.6, 0.7))):
        density = (255 - SECTION.astype(float)) * tint
        pixels = np.tile((255 - density).clip(0, 255).astype(np.uint8), (3, 2, 1))[:1300]
        tifffile.imwrite(
            desk / "in" / f"{number}.tif", pixels, tile=(256, 256), photometric="rgb",
            resolution=(2e4, 2e4), resolutionunit="CENTIMETER",
        )  # fmt: skip
    reference = (255 - (255 - SECTION.astype(float)) * (0.6, 0.9, 0.7)).astype(np.uint8)
    Image.fromarray(reference).save(desk / "reference.png")
    Image.fromarray(np.full((600, 600, 3), 246, np.uint8)).save(desk / "glass.png")
    Image.fromarray((SECTION // 3)[:300, :400]).save(desk / "dark.png")
    return desk


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def pixels(path):
    return tifffile.imread(path, level=0) if path.suffix == ".tif" else np.asarray(Image.open(path))


@pytest.mark.parametrize("method", ["macenko", "vahadane", "reinhard", "histogram"])
def test_a_folder_gets_one_colour(uhrt, desk, tmp_path, method):
    done = uhrt(
        "stain-normalize", desk / "in", "--target", desk / "reference.png", "--method", method,
        "-o", tmp_path, "--qc", tmp_path / "qc", "--compression", "deflate", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = lines(done)
    assert [line["output"] for line in found] == [
        str(tmp_path / f"{number}.{method}.tif") for number in range(3)
    ]
    assert found[0]["mpp"] == [0.5, 0.5]
    goal = pixels(desk / "reference.png").mean((0, 1))
    for number in range(3):
        before = np.abs(pixels(desk / "in" / f"{number}.tif").mean((0, 1)) - goal).mean()
        after = np.abs(pixels(tmp_path / f"{number}.{method}.tif").mean((0, 1)) - goal).mean()
        assert after < max(before / 2, 8)
    with (tmp_path / "qc" / "stains.csv").open() as file:
        rows = list(csv.DictReader(file))
    # The odd slide is on top.
    assert rows[0]["slide"].endswith("2.tif")
    assert all((tmp_path / "qc" / f"{number}.png").is_file() for number in range(3))


def test_the_slides_fit_makes_no_seams_and_the_tiles_do(uhrt, desk, tmp_path):
    jumps = {}
    for fit in ("slide", "tile"):
        out = tmp_path / f"{fit}.tif"
        # Half tissue, half glass: the tiles differ.
        done = uhrt(
            "stain-normalize", desk / "in" / "0.tif", "--target", desk / "reference.png",
            "--fit", fit, "-o", out, "--compression", "deflate",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        source, result = pixels(desk / "in" / "0.tif"), pixels(out).astype(int)
        # The same colour above and below the border of two tiles.
        above, below = source[900:1024].reshape(-1, 3), source[1024:1148].reshape(-1, 3)
        colour = {
            tuple(c): tuple(r) for c, r in zip(above, result[900:1024].reshape(-1, 3), strict=True)
        }
        pairs = [
            (colour[tuple(c)], r)
            for c, r in zip(below, result[1024:1148].reshape(-1, 3), strict=True)
            if tuple(c) in colour
        ]
        jumps[fit] = max(np.abs(np.subtract(a, b)).max() for a, b in pairs)
    assert jumps["slide"] == 0
    assert jumps["tile"] > 0


def test_a_saved_fit_does_the_same(uhrt, desk, tmp_path):
    first = uhrt(
        "stain-normalize", desk / "in" / "1.tif", "--target", desk / "reference.png",
        "-o", tmp_path / "a.png", "--save-fit", tmp_path / "ref.json",
    )  # fmt: skip
    assert first.returncode == 0, first.stderr
    again = uhrt(
        "stain-normalize", desk / "in" / "1.tif", "--target", tmp_path / "ref.json",
        "-o", tmp_path / "b.png",
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert np.array_equal(pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png"))


def test_auto_takes_the_slide_in_the_middle(uhrt, desk, tmp_path):
    done = uhrt(
        "stain-normalize", desk / "in", "--target", "auto", "--method", "reinhard", "-o", tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "reinhard to " in done.stderr
    assert "2.tif" not in done.stderr.split("reinhard to ")[1].splitlines()[0]


def test_glass_is_copied_or_skipped_as_told(uhrt, desk, tmp_path):
    common = ("stain-normalize", desk / "glass.png", "--target", desk / "reference.png", "--json")
    copied = uhrt(*common, "-o", tmp_path / "copy.png")
    assert copied.returncode == 0
    assert (pixels(tmp_path / "copy.png") == 246).all()
    skipped = uhrt(*common, "-o", tmp_path / "skip.png", "--little-tissue", "skip")
    (line,) = lines(skipped)
    assert (skipped.returncode, line["status"]) == (0, "skipped")
    assert "stained pixels" in line["error"]
    assert not (tmp_path / "skip.png").exists()


def test_a_distilled_network_does_nearly_the_same(uhrt, desk, tmp_path):
    done = uhrt(
        "stain-normalize", desk / "in" / "0.tif", "--target", desk / "reference.png",
        "--method", "reinhard", "-o", tmp_path / "a.png", "--distill", tmp_path / "n.safetensors",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = uhrt(
        "stain-normalize", desk / "in" / "0.tif", "--method", "stainnet",
        "--model", tmp_path / "n.safetensors", "-o", tmp_path / "b.png",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    difference = np.abs(pixels(tmp_path / "a.png").astype(int) - pixels(tmp_path / "b.png"))
    assert difference.mean() < 4


def test_a_generator_is_a_method_too(uhrt, desk, tmp_path):
    info = GeneratorInfo("resnet", {"ngf": 4, "n_blocks": 1}, cell=128)
    save_native(tmp_path / "g.safetensors", small_resnet(ngf=4, n_blocks=1), info)
    model = ("--model", tmp_path / "g.safetensors")
    done = uhrt(
        "stain-normalize", desk / "dark.png", "--method", "model", *model, "-o", tmp_path / "a.png"
    )
    assert done.returncode == 0, done.stderr
    assert uhrt("translate", desk / "dark.png", *model, "-o", tmp_path / "b.png").returncode == 0
    assert np.array_equal(pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png"))


class TestEnhancing:
    def enhance(self, uhrt, desk, target, *more, source="dark.png"):
        done = uhrt(
            "enhance", desk / source, "--reference", desk / "reference.png", "-o", target, *more
        )
        assert done.returncode == 0, done.stderr
        return pixels(target)

    def test_what_is_bright_becomes_dark(self, uhrt, desk, tmp_path):
        found = self.enhance(uhrt, desk, tmp_path / "a.png")
        dark = illuminance(pixels(desk / "dark.png")).astype(int)
        assert (found[..., 0] == found[..., 2]).all()
        order = np.argsort(dark.ravel(), kind="stable")
        values = found[..., 0].ravel()[order].astype(int)
        brighter = np.diff(dark.ravel()[order]) > 0
        assert (np.diff(values)[brighter] <= 0).all()
        goal = illuminance(pixels(desk / "reference.png"))
        for share in (5, 25, 50, 75, 95):
            assert abs(np.percentile(found[..., 0], share) - np.percentile(goal, share)) < 6

    def test_the_choices_differ(self, uhrt, desk, tmp_path):
        grey = self.enhance(uhrt, desk, tmp_path / "a.png")
        plain = self.enhance(uhrt, desk, tmp_path / "b.png", "--no-invert")
        colour = self.enhance(uhrt, desk, tmp_path / "c.png", "--colour")
        assert np.corrcoef(grey[..., 0].ravel(), plain[..., 0].ravel())[0, 1] < -0.9
        assert np.abs(colour[..., 0].astype(int) - colour[..., 2]).max() > 5
        made = self.enhance(uhrt, desk, tmp_path / "d.png", "--synthesize", source="in/0.tif")
        assert made.shape[:2] == (1300, 1024)

    def test_a_saved_histogram_does_the_same(self, uhrt, desk, tmp_path):
        save = ("--save-reference", tmp_path / "hist.json")
        first = self.enhance(uhrt, desk, tmp_path / "a.png", *save)
        done = uhrt(
            "enhance", desk / "dark.png", "--reference", tmp_path / "hist.json",
            "-o", tmp_path / "b.png",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert np.array_equal(pixels(tmp_path / "b.png"), first)

    def test_pooled_inputs_stay_comparable(self, uhrt, desk, tmp_path):
        common = ("enhance", desk / "in", "--reference", desk / "reference.png")
        for name, more in (("alone", ()), ("pool", ("--pool",))):
            done = uhrt(*common, "-o", tmp_path / name, *more)
            assert done.returncode == 0, done.stderr
        means = {
            name: [pixels(tmp_path / name / f"{n}.enhanced.tif").mean() for n in range(3)]
            for name in ("alone", "pool")
        }
        assert np.ptp(means["alone"]) < 4 < np.ptp(means["pool"])


@pytest.fixture(scope="module")
def deep(desk):
    """A 16-bit dark-field image that holds some 30,000 levels, most of them in the shadows."""
    random = np.random.default_rng(5)
    grey = np.kron(random.uniform(0.05, 1, (30, 40)), np.ones((32, 32))) ** 3
    grey = (grey * 40_000 + random.normal(0, 200, grey.shape)).clip(0, 65535).astype(np.uint16)
    path = desk / "deep" / "deep.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, grey, tile=(256, 256), compression="deflate")
    return path


class TestSixteenBits:
    """`uhrt enhance` from and to 16 bits, against the functions on whole arrays."""

    def expected(self, deep, desk, tally, top):
        goal = Tally.of(pixels(desk / "reference.png"))
        table = match(tally, goal, invert=True) * (top / 255)
        return Matching(table, top).apply(np.repeat(tifffile.imread(deep)[..., None], 3, axis=2))

    @pytest.mark.parametrize("ending", ["tif", "ome.tif"])
    def test_sixteen_bits_come_out_without_steps(self, uhrt, desk, deep, tmp_path, ending):
        done = uhrt(
            "enhance", deep, "--reference", desk / "reference.png", "--bits", "16",
            "-o", tmp_path / f"a.{ending}",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = tifffile.imread(tmp_path / f"a.{ending}")
        wanted = self.expected(deep, desk, Tally.of(tifffile.imread(deep)), 65535)
        assert found.dtype == np.uint16
        assert np.array_equal(found, wanted)
        assert len(np.unique(found)) > 5_000

    def test_all_bits_count_where_eight_are_written(self, uhrt, desk, deep, tmp_path):
        done = uhrt(
            "enhance", deep, "--reference", desk / "reference.png", "-o", tmp_path / "a.png"
        )
        assert done.returncode == 0, done.stderr
        wanted = self.expected(deep, desk, Tally.of(tifffile.imread(deep)), 255)
        assert np.array_equal(pixels(tmp_path / "a.png"), wanted)

    def test_a_pool_holds_both(self, uhrt, desk, deep, tmp_path):
        done = uhrt(
            "enhance", deep, desk / "dark.png", "--reference", desk / "reference.png", "--pool",
            "--bits", "16", "-o", tmp_path / "out",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        pool = Tally.of(tifffile.imread(deep)) + Tally.of(pixels(desk / "dark.png"))
        found = tifffile.imread(tmp_path / "out" / "deep.enhanced.tif")
        assert np.array_equal(found, self.expected(deep, desk, pool, 65535))
        shallow = tifffile.imread(tmp_path / "out" / "dark.enhanced.tif")
        goal = Tally.of(pixels(desk / "reference.png"))
        table = (match(pool, goal, invert=True) * 257)[::257]
        assert np.array_equal(shallow, Matching(table, 65535).apply(pixels(desk / "dark.png")))

    def test_masks_previews_and_colour(self, uhrt, desk, deep, tmp_path):
        mask = np.zeros((30, 40), np.uint8)
        mask[:, :20] = 255
        Image.fromarray(mask).save(tmp_path / "mask.png")
        for background, right in (("#ff8000", (65535, 32896, 0)), ("keep", None)):
            target = tmp_path / f"{background.strip('#')}.tif"
            done = uhrt(
                "enhance", deep, "--reference", desk / "reference.png", "--bits", "16", "--colour",
                "--mask", tmp_path / "mask.png", "--background", background, "--preview",
                "--region", "0,0,1280,960", "-o", target,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            found = tifffile.imread(target)[400, 1275]
            kept = (tifffile.imread(deep)[400, 1275],) * 3
            assert tuple(found) == (right or kept)
            assert target.with_name(f"{target.stem}.preview.png").exists()

    @pytest.mark.parametrize(
        ("more", "code"),
        [
            (("-o", "a.png"), 1),
            (("-o", "a.tif", "--compression", "jpeg"), 2),
            (("-o", "a.svs", "--format", "svs"), 2),
            (("-o", "a.tif", "--bits", "12"), 2),
        ],
    )
    def test_what_cannot_hold_them_is_refused(self, uhrt, desk, deep, tmp_path, more, code):
        arguments = [tmp_path / word if word.startswith("a.") else word for word in more]
        reference = ("--reference", desk / "reference.png")
        done = uhrt("enhance", deep, *reference, "--bits", "16", *arguments)
        assert done.returncode == code, done.stderr
        assert "bits" in done.stderr
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("stain-normalize", "IN"), 2, "--target: name a reference"),
        (("stain-normalize", "IN", "--target", "gone.png"), 1, "gone.png: does not exist"),
        (("stain-normalize", "IN", "--target", "GLASS"), 1, "choose another reference"),
        (("stain-normalize", "IN", "--target", "REF", "--method", "stainnet"), 2, "model"),
        (("stain-normalize", "IN", "--target", "REF", "--tile", "64"), 2, "for the method model"),
        (("stain-normalize", "IN", "--target", "REF", "--bits", "16"), 2, "for the method model"),
        (("stain-normalize", "IN", "--target", "BAD.json"), 1, "is not JSON"),
        (("enhance", "IN"), 2, "--reference"),
        (("enhance", "IN", "--reference", "BAD.json"), 1, "is not JSON"),
        (("enhance", "IN", "--reference", "REF", "--clip", "0.9"), 2, "clip"),
    ],
)
def test_wrong_usage_gets_one_sentence(uhrt, desk, tmp_path, arguments, code, reason):
    (desk / "BAD.json").write_text("not json")
    names = {
        "IN": desk / "in" / "0.tif", "REF": desk / "reference.png", "GLASS": desk / "glass.png",
        "BAD.json": desk / "BAD.json",
    }  # fmt: skip
    done = uhrt(*(names.get(word, word) for word in arguments), "-o", tmp_path / "a.tif")
    assert done.returncode == code, done.stderr
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
