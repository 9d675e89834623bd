"""Colours as the profile of a slide means them, on a screen of sRGB."""

from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms


@lru_cache(maxsize=16)
def to_screen(profile: bytes) -> Any | None:
    """The transform from an RGB profile to sRGB; None if the profile is damaged.

    Making it takes tens of milliseconds, so it is kept; applying it to a tile takes one or two.
    """
    try:
        return ImageCms.buildTransform(
            ImageCms.getOpenProfile(BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            "RGB",
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
    except (OSError, ImageCms.PyCMSError):
        return None


def on_screen(rgb: NDArray[np.uint8], profile: bytes | None) -> NDArray[np.uint8]:
    """Pixels, [h, w, 3], as sRGB; unchanged without a profile, or with a damaged one."""
    transform = None if profile is None else to_screen(profile)
    if transform is None:
        return rgb
    image = Image.fromarray(np.ascontiguousarray(rgb))
    return np.asarray(ImageCms.applyTransform(image, transform))
