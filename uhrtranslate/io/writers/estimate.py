"""How large an output will be."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from uhrtranslate.io.pixels import Pixels
from uhrtranslate.io.writers.formats import photo_format, slide_format
from uhrtranslate.io.writers.pyramid import halve


def output_bytes_per_pixel(sample: Pixels, target: Path, compression: str, quality: int) -> float:
    """Bytes of an output per pixel of its largest level, the smaller levels included.

    Args:
        sample: pixels that are like the image, [h, w, 3] uint8.
        target: its ending says whether a photo or a pyramid is written, and which encoder is asked.
        compression, quality: as in `OutputSpec`.

    Raises:
        OutputError: the ending names no format.
        MissingExtraError: the format needs a package that is not installed.
    """
    h, w = sample.shape[:2]
    photo = photo_format(target)
    if photo is not None:
        file = BytesIO()
        Image.fromarray(sample).save(file, format=photo.name, quality=quality, **photo.options)
        return 3 * len(file.getvalue()) / sample.size
    encode = slide_format(target).encoder(compression)

    def rate(pixels: Pixels) -> float:
        return 3 * len(encode(pixels, quality)) / pixels.size

    half = halve(np.pad(sample, ((0, h % 2), (0, w % 2), (0, 0)), mode="edge"))
    # The smaller levels have 1/4 + 1/16 + ... = 1/3 of the pixels, and more detail in each.
    return rate(sample) + rate(half) / 3
