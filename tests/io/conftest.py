"""Tiny images, written when they are needed."""

import numpy as np
import pytest
import tifffile
from PIL import ImageCms


@pytest.fixture(scope="session")
def shared_data(shared):
    """A function that gives a file of the founders' sample data."""
    return lambda name: shared / "data" / name


@pytest.fixture(scope="session")
def picture():
    """Smooth colours with some noise, [301, 421, 3]: odd sizes, and JPEG does not mind."""
    y, x = np.mgrid[:301, :421]
    waves = [127 + 90 * np.sin(x / a) * np.cos(y / b) for a, b in ((9, 14), (31, 11), (17, 40))]
    noise = np.random.default_rng(1).normal(0, 4, (301, 421, 3))
    return np.clip(np.stack(waves, 2) + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def srgb():
    """An ICC profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def write_pyramid(tmp_path):
    """A function that writes a flat pyramid, as OpenSlide's generic driver reads it."""

    def write(pixels, levels=3, name="slide.tif", mpp=0.25, description=None, icc=None, **how):
        how = {"tile": (64, 64), "compression": "deflate", "photometric": "rgb"} | how
        path = tmp_path / name
        with tifffile.TiffWriter(path) as tif:
            for level in range(levels):
                factor = 2**level
                part = pixels[::factor, ::factor]
                tif.write(
                    np.moveaxis(part, 2, 0) if "planarconfig" in how else part,
                    subfiletype=int(level > 0),
                    resolutionunit="CENTIMETER",
                    resolution=(1e4 / mpp / factor, 1e4 / mpp / factor),
                    description=description if level == 0 else None,
                    metadata=None,
                    iccprofile=icc if level == 0 else None,
                    **how,
                )
        return path

    return write
