"""What the pages of all our TIFFs have in common. None of it depends on the machine or the time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tifffile

from uhrtranslate.io.writers.base import EncodedLevel
from uhrtranslate.io.writers.output_spec import SOFTWARE, OutputSpec, pixels_per_cm
from uhrtranslate.pixels import Pixels
from uhrtranslate.tables import COMPRESSIONS

# No description by tifffile, and no page that continues in the next one.
_PLAIN: dict[str, Any] = {"metadata": None, "contiguous": False}


@contextmanager
def open_tiff(path: Path) -> Iterator[tifffile.TiffWriter]:
    """A new BigTIFF, for `write_level` and `write_picture`."""
    with path.open("w+b") as stream, tifffile.TiffWriter(stream, bigtiff=True) as tiff:
        yield tiff


def write_level(
    tiff: tifffile.TiffWriter, spec: OutputSpec, level: EncodedLevel, **tags: Any
) -> None:
    """Write a level as a page, holding one encoded tile at a time.

    The tags are those of this page only, as arguments of tifffile's `write`.
    """
    shape: tuple[int, ...] = (level.height, level.width, 3)
    codec = COMPRESSIONS[spec.compression].tags
    if spec.channels:  # a page holds one of them
        shape = shape[:2]
        codec = {name: tag for name, tag in codec.items() if name != "subsampling"}
        codec["photometric"] = "minisblack"
    if spec.bits == 32:
        codec = {name: tag for name, tag in codec.items() if name != "predictor"}
    downsample = spec.width / level.width, spec.height / level.height
    tiff.write(
        level.tiles,
        shape=shape,
        dtype=spec.dtype,
        tile=(spec.tile, spec.tile),
        resolution=pixels_per_cm(spec.mpp, downsample) if spec.mpp else None,
        resolutionunit="CENTIMETER" if spec.mpp else "NONE",
        **codec,
        **{"software": False, **_PLAIN, **tags},
    )


def image_tags(spec: OutputSpec, description: str) -> dict[str, Any]:
    """What the page of the largest level says about the image; tags for `write_level`."""
    return {
        "subfiletype": 0,
        "iccprofile": spec.icc_profile,
        "description": description.encode() or None,  # as text, tifffile takes only ASCII
        "extratags": spec.position_tags(),
        "software": SOFTWARE,
    }


def write_picture(tiff: tifffile.TiffWriter, image: Pixels, **tags: Any) -> None:
    """Write a label, macro image or thumbnail, [h, w, 3] uint8, as a page without tiles."""
    tiff.write(
        image,
        photometric="rgb",
        compression="jpeg",
        compressionargs={"level": 90},
        resolutionunit="NONE",
        **{"software": False, **_PLAIN, **tags},
    )
