"""What every format of outputs must do, and that a new one needs one file and one line."""

import dataclasses
import json

import numpy as np
import pytest
import skimage.data
from extending import package_with, run_uhrt
from PIL import Image, ImageCms

from uhrtranslate.errors import OutputError
from uhrtranslate.io import OutputSpec, check_complete, open_slide, open_writer
from uhrtranslate.io.writers import photo, pyramid
from uhrtranslate.io.writers.formats import OUTPUT_SUFFIXES, photo_format, slide_format
from uhrtranslate.tables import COMPRESSIONS, FORMATS, PHOTO_FORMATS

PIXELS = np.ascontiguousarray(skimage.data.immunohistochemistry()[:300, :400])
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
HOW = '{"norm": "dn", "note": "\N{MICRO SIGN}"}'


def write(target, pixels=PIXELS, **facts):
    bits = 8 * pixels.dtype.itemsize
    spec = OutputSpec(
        pixels.shape[1], pixels.shape[0], mpp=(0.25, 0.25), icc_profile=ICC, description=HOW,
        compression="deflate", tile=64, smallest=100, bits=bits, **facts
    )  # fmt: skip
    with open_writer(target, spec) as writer:
        writer.write(0, 0, pixels)
    return target


@pytest.fixture(params=FORMATS)
def format(request):
    if request.param.startswith("ome-zarr"):
        pytest.importorskip("zarr")
    return request.param


class TestEverySlideFormat:
    def test_comes_back_as_it_was_written(self, format, tmp_path):
        facts = FORMATS[format]
        for number, ending in enumerate(facts.endings):
            path = write(tmp_path / f"{number}{ending}", format=format)
            assert path.is_dir() == facts.is_folder
            complete = check_complete(path)
            assert (complete.width, complete.height) == (400, 300)
            assert json.loads(complete.description) == json.loads(HOW)
            with open_slide(path) as slide:
                assert [level.width for level in slide.info.levels] == [400, 200, 100]
                assert slide.info.mpp == pytest.approx((0.25, 0.25), rel=1e-3)
                assert np.array_equal(slide.read(0, 0, 400, 300), PIXELS)

    def test_holds_the_bits_that_it_declares(self, format, tmp_path):
        facts, path = FORMATS[format], tmp_path / f"a{FORMATS[format].endings[0]}"
        deep = PIXELS.astype(np.uint16) * 257 + 1
        if 16 not in facts.bits:
            with pytest.raises(OutputError, match="cannot hold 16 bits"):
                write(path, deep, format=format)
            return
        write(path, deep, format=format)
        with open_slide(path, True) as slide:
            assert np.array_equal(slide.read(0, 0, 400, 300), deep)

    def test_holds_associated_images_if_it_says_so(self, format, tmp_path):
        path = tmp_path / f"a{FORMATS[format].endings[0]}"
        label = {"label": np.full((60, 80, 3), 200, np.uint8)}
        if not FORMATS[format].holds_associated:
            with pytest.raises(OutputError, match=r"no place for label.*ome-tiff or svs"):
                write(path, format=format, associated=label)
            return
        without = write(tmp_path / f"b{FORMATS[format].endings[0]}", format=format)
        assert write(path, format=format, associated=label).stat().st_size > without.stat().st_size

    def test_appears_whole_or_not_at_all(self, format, tmp_path, monkeypatch):
        def interrupted(path, spec, levels):
            FORMATS[format].assemble(path, spec, levels[:1])
            raise KeyboardInterrupt

        broken = dataclasses.replace(FORMATS[format], assemble=interrupted)
        monkeypatch.setattr(pyramid, "slide_format", lambda *_: broken)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / f"a{FORMATS[format].endings[0]}", format=format)
        assert list(tmp_path.iterdir()) == []

    def test_is_found_by_its_usual_ending(self, format, tmp_path):
        path = tmp_path / f"a{FORMATS[format].endings[0].upper()}"
        assert slide_format(path) is FORMATS[format]
        assert path.suffix.lower() in OUTPUT_SUFFIXES


@pytest.mark.parametrize("name", PHOTO_FORMATS)
class TestEveryPhotoFormat:
    def test_comes_back_as_it_was_written(self, name, tmp_path):
        for ending in PHOTO_FORMATS[name].endings:
            path = write(tmp_path / f"a{ending}")
            assert photo_format(path) is PHOTO_FORMATS[name]
            assert ending in OUTPUT_SUFFIXES
            complete = check_complete(path)
            assert (complete.width, complete.height) == (400, 300)
            with Image.open(path) as image:
                assert image.format == PHOTO_FORMATS[name].name
                assert image.info["icc_profile"] == ICC
                found = np.asarray(image).astype(int)
            assert np.abs(found - PIXELS).mean() < (5 if name != "png" else 1e-9)

    def test_appears_whole_or_not_at_all(self, name, tmp_path, monkeypatch):
        def interrupted(image, path, **options):
            path.write_bytes(b"half")
            raise KeyboardInterrupt

        monkeypatch.setattr(photo.Image.Image, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / f"a{PHOTO_FORMATS[name].endings[0]}")
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_every_compression_refuses_bits_that_it_cannot_hold(name):
    if 16 in COMPRESSIONS[name].bits:
        assert OutputSpec(10, 10, compression=name, bits=16).dtype == np.uint16
    else:
        with pytest.raises(Exception, match=f"{name} holds no 16 bits; choose one of deflate"):
            OutputSpec(10, 10, compression=name, bits=16)


MINE = '''"""Pyramids whose pages say who made them."""

from uhrtranslate.io.writers.base import SlideFormat
from uhrtranslate.io.writers.tiff_pages import image_tags, open_tiff, write_level


def assemble(path, spec, levels):
    with open_tiff(path) as tiff:
        for level in levels:
            write_level(tiff, spec, level, **image_tags(spec, spec.description), datetime="2026:11:24 00:00:00")


MINE = SlideFormat((".mine",), assemble)
'''  # noqa: E501


@pytest.mark.slow
def test_a_new_format_is_one_file_and_one_line(tmp_path):
    folder = package_with(
        tmp_path, "io/writers/mine.py", MINE, "FORMATS", '"mine": "io.writers.mine:MINE",'
    )
    Image.fromarray(PIXELS[:128, :128]).save(tmp_path / "photo.png")
    given = ("translate", "photo.png", "--cell", "64", "--tile", "64")
    done = run_uhrt(folder, *given, "--format", "mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "photo.pooled.mine"
    assert json.loads(check_complete(tmp_path / "photo.pooled.mine").description)
    named = run_uhrt(folder, *given, "-o", "b.mine", cwd=tmp_path)
    assert named.returncode == 0, named.stderr
    assert (tmp_path / "b.mine").read_bytes()[:4] == b"II\x2b\x00"
    assert b"2026:11:24" in (tmp_path / "b.mine").read_bytes()
    wrong = run_uhrt(folder, *given, "--format", "yours", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "mine" in wrong.stderr
