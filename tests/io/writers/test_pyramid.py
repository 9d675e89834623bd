"""Pyramids: what is in the file, whatever the order in which its pixels came."""

import io
import itertools
import random

import numpy as np
import openslide
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageCms

from uhrtranslate.errors import OptionError, OutputError
from uhrtranslate.geometry.levels import pyramid_sizes
from uhrtranslate.io import OutputSpec, open_writer
from uhrtranslate.io.writers.output_spec import SOFTWARE
from uhrtranslate.io.writers.photo import PhotoWriter
from uhrtranslate.io.writers.pyramid import PyramidWriter
from uhrtranslate.pixels import halve
from uhrtranslate.tables import COMPRESSIONS

LOSSLESS = [name for name in COMPRESSIONS if name != "jpeg"]


def picture(width, height, seed=0):
    """Smooth colours with a little grain, so that JPEG can show what it is good at."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = [np.sin(x / 31 + seed), np.cos(y / 23), np.sin((x + y) / 41)]
    values = 128 + 90 * np.stack(waves, axis=-1) + rng.normal(scale=2, size=(height, width, 3))
    return np.clip(values, 0, 255).astype(np.uint8)


def partition(width, height, rng, pieces):
    """Cut the image into rectangles at random places, in random order."""
    done, todo = [], [(0, 0, width, height)]
    while todo and len(done) + len(todo) < pieces:
        x, y, w, h = todo.pop(rng.randrange(len(todo)))
        if w >= h and w > 1:
            cut = rng.randint(1, w - 1)
            todo += [(x, y, cut, h), (x + cut, y, w - cut, h)]
        elif h > 1:
            cut = rng.randint(1, h - 1)
            todo += [(x, y, w, cut), (x, y + cut, w, h - cut)]
        else:
            done.append((x, y, w, h))
    rectangles = done + todo
    rng.shuffle(rectangles)
    return rectangles


def write(path, pixels, spec, rectangles=None, **options):
    height, width = pixels.shape[:2]
    with PyramidWriter(path, spec, **options) as writer:
        for x, y, w, h in rectangles or [(0, 0, width, height)]:
            writer.write(x, y, pixels[y : y + h, x : x + w])
    return path


def halved(pixels):
    """The mean over those of each 2 x 2 pixels that exist: another way than the writer's."""
    height, width = -(-pixels.shape[0] // 2), -(-pixels.shape[1] // 2)
    sums, counts = np.zeros((height, width, 3)), np.zeros((height, width, 1))
    for dy, dx in itertools.product((0, 1), repeat=2):
        part = pixels[dy::2, dx::2]
        sums[: part.shape[0], : part.shape[1]] += part
        counts[: part.shape[0], : part.shape[1]] += 1
    return np.floor(sums / counts + 0.5).astype(np.uint8)


def psnr(one, other):
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return 10 * np.log10(255**2 / error)


@settings(max_examples=30)
@given(
    width=st.integers(1, 1500),
    height=st.integers(1, 1500),
    tile=st.integers(1, 32).map(lambda n: 16 * n),
    smallest=st.sampled_from([64, 200, 1024]),
    compression=st.sampled_from(LOSSLESS),
    seed=st.integers(0, 99),
    pieces=st.integers(1, 40),
)
def test_levels_are_the_pixels_and_their_means(
    tmp_path_factory, width, height, tile, smallest, compression, seed, pieces
):
    tile = max(tile, 16 * (max(width, height) // 400))  # no more than some hundreds of tiles
    pixels = picture(width, height, seed)
    spec = OutputSpec(width, height, compression=compression, tile=tile, smallest=smallest)
    path = tmp_path_factory.mktemp("levels") / "a.tif"
    write(path, pixels, spec, partition(width, height, random.Random(seed), pieces))
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.pages) == len(pyramid_sizes(width, height, smallest))
        for number, page in enumerate(tiff.pages):
            assert np.array_equal(page.asarray(), pixels)
            assert page.subfiletype == (0 if number == 0 else 1)
            pixels = halved(pixels)


@settings(max_examples=15)
@given(
    compression=st.sampled_from(list(COMPRESSIONS)),
    seed=st.integers(0, 99),
    workers=st.integers(1, 4),
)
def test_bytes_do_not_depend_on_the_order_of_writes(tmp_path_factory, compression, seed, workers):
    folder = tmp_path_factory.mktemp("order")
    pixels = picture(333, 257)
    spec = OutputSpec(
        333, 257, (0.5, 0.5), description="x", compression=compression, tile=48, smallest=50
    )
    rectangles = partition(333, 257, random.Random(seed), 25)
    one = write(folder / "one.tif", pixels, spec)
    other = write(folder / "other.tif", pixels, spec, rectangles, workers=workers)
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(("width", "levels"), [(1024, [1024]), (1025, [1025, 513])])
def test_levels_end_at_about_1024_px(tmp_path, width, levels):
    path = write(tmp_path / "a.tif", picture(width, 3), OutputSpec(width, 3, tile=256))
    with tifffile.TiffFile(path) as tiff:
        assert [page.imagewidth for page in tiff.pages] == levels


def test_means_round_half_up():
    pixels = np.zeros((2, 4, 3), np.uint8)
    pixels[0, 0] = 1, 2, 3
    pixels[:, 2:] = 255
    assert halve(pixels).tolist() == [[[0, 1, 1], [255, 255, 255]]]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_openslide_reads_levels_mpp_and_pixels(tmp_path, compression):
    pixels = picture(1201, 900)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    spec = OutputSpec(
        1201,
        900,
        (0.25, 0.5),
        profile,
        '{"norm": "dn", "cell_µm": 128}',
        compression=compression,
        tile=256,
        smallest=320,
    )
    path = write(tmp_path / "ä b.tif", pixels, spec)
    levels = [pixels, halved(pixels), halved(halved(pixels))]
    with openslide.OpenSlide(path) as slide:
        assert slide.detect_format(path) == "generic-tiff"
        assert slide.level_dimensions == ((1201, 900), (601, 450), (301, 225))
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.25)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.5)
        assert slide.properties["tiff.ImageDescription"] == spec.description
        assert slide.properties["tiff.Software"] == SOFTWARE
        assert slide.color_profile.tobytes() == profile
        assert not slide.associated_images
        for number, level in enumerate(levels):
            read = slide.read_region((0, 0), number, slide.level_dimensions[number])
            read = np.asarray(read.convert("RGB"))
            if compression == "jpeg":
                assert psnr(read, level) > 36
            else:
                assert np.array_equal(read, level)


def test_tags_are_the_same_to_tifffile(tmp_path):
    spec = OutputSpec(300, 200, (0.25, 0.5), b"icc", "how", tile=64, smallest=100)
    path = write(tmp_path / "a.tif", picture(300, 200), spec)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_bigtiff
        assert [page.shape for page in tiff.series[0].levels] == [
            (200, 300, 3),
            (100, 150, 3),
            (50, 75, 3),
        ]
        first, second, _ = tiff.pages
        assert first.iccprofile == b"icc"
        assert first.description == "how"
        assert first.photometric == tifffile.PHOTOMETRIC.YCBCR
        assert first.get_resolution("micrometer") == pytest.approx((4, 2))
        assert second.get_resolution("micrometer") == pytest.approx((2, 1))
        assert "DateTime" not in first.tags
        assert not second.description


def test_without_mpp_there_is_no_resolution(tmp_path):
    path = write(tmp_path / "a.tif", picture(40, 30), OutputSpec(40, 30))
    with openslide.OpenSlide(path) as slide:
        assert "openslide.mpp-x" not in slide.properties


def test_quality_of_jpeg_is_the_users(tmp_path):
    pixels = picture(256, 256)
    low, high = (
        write(tmp_path / f"{quality}.tif", pixels, OutputSpec(256, 256, quality=quality))
        for quality in (30, 95)
    )
    assert low.stat().st_size < high.stat().st_size
    assert psnr(tifffile.imread(low), pixels) < psnr(tifffile.imread(high), pixels)


def test_written_pixels_are_copied(tmp_path):
    pixels = picture(64, 64)
    buffer = np.empty((32, 64, 3), np.uint8)
    path = tmp_path / "a.tif"
    with PyramidWriter(path, OutputSpec(64, 64, compression="none", tile=16)) as writer:
        for y in (0, 32):
            buffer[:] = pixels[y : y + 32]
            writer.write(0, y, buffer)
            buffer[:] = 0
    assert np.array_equal(tifffile.imread(path), pixels)


@pytest.mark.parametrize("ending", ["a.tif", "a.png"])
def test_missing_pixels_are_an_error(tmp_path, ending):
    pixels = picture(100, 100)
    with (
        pytest.raises(OutputError, match="100 pixels never came"),
        open_writer(tmp_path / ending, OutputSpec(100, 100, tile=32)) as writer,
    ):
        writer.write(0, 0, pixels[:99])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ["a.tif", "a.png"])
@pytest.mark.parametrize("first", [(0, 0, 100, 100), (0, 0, 32, 32), (10, 10, 20, 5)])
def test_pixels_that_come_twice_are_an_error(tmp_path, ending, first):
    pixels = picture(100, 100)
    x, y, w, h = first

    def write_twice():
        with open_writer(tmp_path / ending, OutputSpec(100, 100, tile=32)) as writer:
            writer.write(x, y, pixels[:h, :w])
            writer.write(12, 12, pixels[:1, :1])

    with pytest.raises(ValueError, match="twice"):
        write_twice()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ["a.tif", "a.png"])
@pytest.mark.parametrize(
    ("x", "y", "shape", "kind"),
    [
        (-1, 0, (4, 4, 3), np.uint8),
        (0, 7, (4, 4, 3), np.uint8),
        (0, 0, (0, 4, 3), np.uint8),
        (0, 0, (4, 4), np.uint8),
        (0, 0, (4, 4, 4), np.uint8),
        (0, 0, (4, 4, 3), np.float32),
    ],
)
def test_pixels_that_do_not_fit_are_refused(tmp_path, ending, x, y, shape, kind):
    with (
        pytest.raises(ValueError, match=r"pixels must be|do not lie"),
        open_writer(tmp_path / ending, OutputSpec(10, 10)) as writer,
    ):
        writer.write(x, y, np.zeros(shape, kind))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"compression": "webp"}, "jpeg, deflate, lzw, zstd, none"),
        ({"quality": 0}, "choose 1 to 100"),
        ({"tile": 100}, "multiple of 16"),
        ({"mpp": (0.0, 0.25)}, "mpp"),
        ({"mpp": (float("nan"), 0.25)}, "mpp"),
    ],
)
def test_options_are_checked_before_anything_is_written(wrong, message):
    with pytest.raises(OptionError, match=message):
        OutputSpec(10, 10, **wrong)


def test_an_aperio_description_is_refused():
    with pytest.raises(ValueError, match="Aperio"):
        OutputSpec(10, 10, description="Aperio-like")


@pytest.mark.parametrize("name", ["a.tif", "a.TIFF", "a.btf"])
def test_endings_of_pyramids(tmp_path, name):
    assert isinstance(open_writer(tmp_path / name, OutputSpec(10, 10)), PyramidWriter)


@pytest.mark.parametrize("name", ["a.png", "a.JPG", "a.jpeg", "a.webp"])
def test_endings_of_photos(tmp_path, name):
    assert isinstance(open_writer(tmp_path / name, OutputSpec(10, 10)), PhotoWriter)


def test_an_unknown_ending_names_the_valid_ones(tmp_path):
    with pytest.raises(OutputError, match=r"\.tif, \.tiff, \.btf, .*\.png, \.jpg, \.jpeg, \.webp"):
        open_writer(tmp_path / "a.ndpi", OutputSpec(10, 10))


def test_memory_holds_only_tiles_that_are_not_full(tmp_path):
    """Rows from top to bottom: one row of tiles per level, whatever the height."""
    spec = OutputSpec(512, 4096, tile=64, smallest=64)
    band = picture(512, 64)
    with PyramidWriter(tmp_path / "a.tif", spec) as writer:
        for y in range(0, 4096, 64):
            writer.write(0, y, band)
            held = [len(level._open) for level in writer._made.levels]
            assert all(
                count <= max(512 >> number, 64) / 64 + 2 for number, count in enumerate(held)
            )


def test_the_icc_profile_survives_a_round_trip(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = write(tmp_path / "a.tif", picture(20, 20), OutputSpec(20, 20, icc_profile=profile))
    with tifffile.TiffFile(path) as tiff:
        ImageCms.ImageCmsProfile(io.BytesIO(tiff.pages[0].iccprofile))
