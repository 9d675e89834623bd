"""How large an output will be."""

from io import BytesIO
from pathlib import Path

from PIL import Image

from uhrtranslate.io.pixels import Pixels
from uhrtranslate.io.writers.formats import photo_format
from uhrtranslate.tables import COMPRESSIONS

# Pixels of a pyramid over those of its largest level.
PYRAMID = 4 / 3


def output_bytes_per_pixel(sample: Pixels, target: Path, compression: str, quality: int) -> float:
    """Bytes of an output per pixel of its largest level, the smaller levels included.

    Args:
        sample: pixels that are like the image, [h, w, 3] uint8.
        target: its ending says whether a photo or a pyramid is written.
        compression, quality: as in `OutputSpec`.
    """
    pixels = int(sample.shape[0] * sample.shape[1])
    photo = photo_format(target)
    if photo is None:
        return len(COMPRESSIONS[compression].encode(sample, quality)) / pixels * PYRAMID
    file = BytesIO()
    Image.fromarray(sample).save(file, format=photo.name, quality=quality, **photo.options)
    return len(file.getvalue()) / pixels
