"""Photos: orientation, transparency, depth, profiles, and limits."""

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from uhrtranslate.errors import InputError
from uhrtranslate.io import open_slide
from uhrtranslate.io.readers import photo as photo_reader


def whole(path):
    with open_slide(path) as slide:
        assert slide.info.is_photo
        return slide.read(0, 0, slide.info.width, slide.info.height)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(ending, orientation, picture, tmp_path):
    path = tmp_path / f"photo.{ending}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture).save(path, exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(whole(path), expected)


def test_transparency_is_laid_on_white(tmp_path):
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[..., 0] = 200
    pixels[:2, :, 3] = 255
    pixels[2, :, 3] = 51
    Image.fromarray(pixels).save(tmp_path / "a.png")
    read = whole(tmp_path / "a.png")
    assert (read[:2] == (200, 0, 0)).all()
    assert (read[2] == (244, 204, 204)).all()  # a fifth of the colour, four fifths of white
    assert (read[3] == 255).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_all_modes_become_rgb(mode, picture, tmp_path):
    image = Image.fromarray(picture).convert(mode)
    path = tmp_path / ("photo.jpg" if mode == "CMYK" else "photo.png")
    image.save(path)
    with Image.open(path) as saved:
        np.testing.assert_array_equal(whole(path), np.asarray(saved.convert("RGB")))


def test_a_palette_with_transparency_is_laid_on_white(tmp_path):
    image = Image.new("P", (5, 3), 1)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((0, 0), 0)
    image.save(tmp_path / "p.png", transparency=b"\x00\xff")
    read = whole(tmp_path / "p.png")
    assert (read[0, 0] == 255).all()
    assert (read[1] == (40, 50, 60)).all()


def test_the_first_frame_of_a_gif_is_read(tmp_path):
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (whole(tmp_path / "a.gif") == (255, 0, 0)).all()


def test_16_bit_grey_is_scaled_by_its_range(tmp_path):
    values = np.array([[0, 257, 385, 386, 65535]], np.uint16)  # 385 / 257 = 1.498
    Image.fromarray(values).save(tmp_path / "a.png")
    assert whole(tmp_path / "a.png")[0, :, 1].tolist() == [0, 1, 1, 2, 255]


def test_profiles_are_kept_if_they_describe_rgb(picture, srgb, tmp_path):
    Image.fromarray(picture).save(tmp_path / "rgb.jpg", icc_profile=srgb, dpi=(300, 300))
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.fromarray(picture).save(tmp_path / "lab.jpg", icc_profile=lab)
    with open_slide(tmp_path / "rgb.jpg") as slide:
        assert slide.info.icc_profile == srgb
        assert slide.info.mpp is None
        assert slide.info.format == "JPEG"
    with open_slide(tmp_path / "lab.jpg") as slide:
        assert slide.info.icc_profile is None


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_a_truncated_photo_is_refused(ending, picture, tmp_path):
    path = tmp_path / f"photo.{ending}"
    Image.fromarray(picture).save(path)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"photo\.\w+: "), open_slide(path) as slide:
        slide.read(0, 0, 10, 10)


def test_size_is_checked_before_decoding(picture, tmp_path, monkeypatch):
    Image.fromarray(picture).save(tmp_path / "a.png")
    monkeypatch.setattr(photo_reader, "MAX_PIXELS", 1000)
    with pytest.raises(InputError, match="tiled TIFF"):
        open_slide(tmp_path / "a.png")


def test_pillows_own_limit_does_not_apply_and_comes_back(picture, tmp_path, monkeypatch):
    Image.fromarray(picture).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    np.testing.assert_array_equal(whole(tmp_path / "a.png"), picture)
    assert Image.MAX_IMAGE_PIXELS == 1000
