"""Ordinary photos as outputs."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms

from uhrtranslate.errors import OutputError
from uhrtranslate.io import OutputSpec, open_writer
from uhrtranslate.io.files import journal
from uhrtranslate.io.files.atomic import partial_folder
from uhrtranslate.io.writers.output_spec import SOFTWARE
from uhrtranslate.io.writers.photo import PhotoWriter

NAMES = ["a.png", "a.jpg", "a.jpeg", "a.webp"]


@pytest.fixture
def pixels():
    y, x = np.mgrid[:90, :120]
    return np.stack([x * 2, y * 2, 200 - x], axis=-1).astype(np.uint8)


def write(path, pixels, spec, **options):
    with PhotoWriter(path, spec, **options) as writer:
        for y in range(0, spec.height, 32):
            for x in range(0, spec.width, 50):
                writer.write(x, y, pixels[y : y + 32, x : x + 50])
    return path


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_what_is_whole_within_a_moment_is_not_saved_before_it_is_written(
    tmp_path, pixels, name, monkeypatch
):
    def state_after(quick, name):
        monkeypatch.setattr(journal, "QUICK", quick)
        monkeypatch.setattr(journal, "SHARE", float("inf"))  # all that may be saved is
        spec, found = OutputSpec(120, 90, tile=32), []
        with open_writer(tmp_path / name, spec, job={"a": 1}) as writer:
            for y, end in ((0, 64), (64, 90)):
                writer.write(0, y, pixels[y:end])
                writer.reached(end)
                state = journal.load_state(partial_folder(tmp_path / name))
                found.append(None if state is None else state.rows)
        return found

    assert state_after(3600.0, name) == [64, 64]
    assert state_after(0.0, f"other-{name}") == [64, 90]


@pytest.mark.parametrize("name", NAMES)
def test_pixels_and_metadata_arrive(tmp_path, pixels, name):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    spec = OutputSpec(120, 90, (0.25, 0.5), profile, '{"norm": "dn"}')
    with Image.open(write(tmp_path / name, pixels, spec)) as image:
        error = np.abs(np.asarray(image.convert("RGB")).astype(int) - pixels)
        exif = image.getexif()
        assert error.max() == 0 if name == "a.png" else error.mean() < 3
        assert image.info["icc_profile"] == profile
        assert exif[ExifTags.Base.ImageDescription] == '{"norm": "dn"}'
        assert exif[ExifTags.Base.Software] == SOFTWARE
        assert exif[ExifTags.Base.XResolution] == 40_000
        assert exif[ExifTags.Base.YResolution] == 20_000


@pytest.mark.parametrize("name", NAMES)
def test_exif_is_kept_but_its_orientation(tmp_path, pixels, name):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "Camera"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] = 0.5
    spec = OutputSpec(120, 90, exif=exif.tobytes())
    with Image.open(write(tmp_path / name, pixels, spec)) as image:
        kept = image.getexif()
        assert ExifTags.Base.Orientation not in kept
        assert kept[ExifTags.Base.Make] == "Camera"
        assert kept.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] == 0.5


def test_exif_too_long_for_jpeg_is_left_out(tmp_path, pixels):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "x" * 70_000
    spec = OutputSpec(120, 90, description="how", exif=exif.tobytes())
    with Image.open(write(tmp_path / "a.jpg", pixels, spec)) as image:
        assert ExifTags.Base.Make not in image.getexif()
        assert image.getexif()[ExifTags.Base.ImageDescription] == "how"


@settings(max_examples=300)
@given(data=st.data())
def test_a_damaged_exif_block_does_not_cost_the_image(tmp_path_factory, data):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera"
    exif[ExifTags.Base.XResolution] = 72.5
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] = 0.5
    block = bytearray(exif.tobytes())
    for _ in range(data.draw(st.integers(1, 8))):
        block[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    block = bytes(block[: data.draw(st.integers(0, len(block)))])
    path = tmp_path_factory.getbasetemp() / "damaged.jpg"
    spec = OutputSpec(4, 4, (0.25, 0.25), description="how", exif=block)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of damaged blocks
        with PhotoWriter(path, spec, overwrite=True) as writer:
            writer.write(0, 0, np.zeros((4, 4, 3), np.uint8))
    with Image.open(path) as image:
        assert image.size == (4, 4)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_pixels_give_the_same_bytes(tmp_path, pixels, name):
    spec = OutputSpec(120, 90, (0.25, 0.25), description="x")
    one = write(tmp_path / f"1{name}", pixels, spec)
    with PhotoWriter(tmp_path / f"2{name}", spec) as writer:
        writer.write(0, 45, pixels[45:])
        writer.write(0, 0, pixels[:45])
    assert one.read_bytes() == (tmp_path / f"2{name}").read_bytes()


@pytest.mark.parametrize(
    ("name", "width", "limit"), [("a.jpg", 65_501, "65,500"), ("a.webp", 16_384, "16,383")]
)
def test_an_image_too_large_for_its_format_is_refused(tmp_path, name, width, limit):
    with pytest.raises(OutputError, match=f"{limit} px a side.*write a .tif instead"):
        PhotoWriter(tmp_path / name, OutputSpec(width, 10))


def test_an_image_too_large_for_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("uhrtranslate.io.writers.photo.available_memory", lambda: 1e9)
    with pytest.raises(OutputError, match=r"needs 2\.0 GB of memory and 1\.0 GB are free"):
        PhotoWriter(tmp_path / "a.png", OutputSpec(20_000, 20_000))


def test_an_exception_leaves_nothing(tmp_path, pixels):
    with pytest.raises(KeyboardInterrupt), PhotoWriter(tmp_path / "a.png", OutputSpec(120, 90)):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
