"""Estimating the size of an output."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from uhrtranslate.errors import OutputError
from uhrtranslate.io.writers.formats import photo_format, slide_format
from uhrtranslate.io.writers.levels import each_plane
from uhrtranslate.pixels import Pixels, halve

_REMEDY = "use --format ome-tiff or ome-zarr"


def output_bytes_per_pixel(sample: Pixels, target: Path, compression: str, quality: int) -> float:
    """Bytes of an output per pixel of its largest level, including the smaller levels.

    Args:
        sample: pixels similar to the image's, [h, w, c] of its type.
        target: its ending decides between photo and pyramid, and chooses the encoder.
        compression, quality: as in `OutputSpec`.

    Raises:
        OutputError: the ending is not that of a format, or of one that cannot hold such pixels.
        MissingExtraError: the format needs a package that is not installed.
    """
    h, w = sample.shape[:2]
    photo = photo_format(target)
    deep, channels = sample.itemsize > 1, sample.shape[2] != 3
    if photo is not None:
        if deep or channels:
            raise OutputError(f"{target}: photos hold colours of 8 bits; {_REMEDY}")
        file = BytesIO()
        Image.fromarray(sample).save(file, format=photo.name, quality=quality, **photo.options)
        return 3 * len(file.getvalue()) / sample.size
    format = slide_format(target)
    if 8 * sample.itemsize not in format.bits or (channels and not format.holds_channels):
        raise OutputError(f"{target}: this format cannot hold such pixels; {_REMEDY}")
    encode = format.encoder(compression)
    if format.planar and channels:
        encode = each_plane(encode)

    def rate(pixels: Pixels) -> float:
        return len(encode(pixels, quality)) / len(pixels) / len(pixels[0])

    half = halve(np.pad(sample, ((0, h % 2), (0, w % 2), (0, 0)), mode="edge"))
    # The smaller levels have 1/4 + 1/16 + ... = 1/3 of the pixels, with more detail in each pixel.
    return rate(sample) + rate(half) / 3
