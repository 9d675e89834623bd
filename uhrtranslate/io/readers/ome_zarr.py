"""OME-Zarr images, written by uhrt or other programs: a folder with levels of planes."""

import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from uhrtranslate.errors import InputError, UhrError, require
from uhrtranslate.io.channels import (
    MOST_CHANNELS,
    Channel,
    hex_colour,
    numbered_channels,
    shown_name,
)
from uhrtranslate.io.files.fingerprint import Fingerprint
from uhrtranslate.io.files.remote import broken_off, filesystem, shown_url, unreachable
from uhrtranslate.io.pixels import WHITE
from uhrtranslate.io.slide import Level, Slide, SlideInfo, read_padded
from uhrtranslate.pixels import Pixels, finite, to_bits

# In micrometres. Slides do not use the other units of NGFF.
_UNITS = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3}
# No real image has a longer side.
_LARGEST = 2**31


class ZarrSlide(Slide):
    """An OME-Zarr image (NGFF 0.4 or 0.5) with up to 64 channels of 8 or 16 bits or float32.

    Three channels are RGB, except floats, which are no colours.

    Args:
        path: the folder, or its URL.
        deep: return 16 bits where the image has them.

    Raises:
        InputError: it is not such an image, or is damaged.
        MissingExtraError: zarr is not installed.
    """

    def __init__(self, path: Path | str, deep: bool = False) -> None:
        zarr = require("zarr", "zarr")
        self._url = None if isinstance(path, Path) else path
        path = path if isinstance(path, Path) else shown_url(path)
        try:
            group = zarr.open_group(path if self._url is None else _store(self._url), mode="r")
            attributes = dict(group.attrs)
            ngff = attributes.get("ome", attributes)
            (image,) = ngff["multiscales"][:1]
            version = str(ngff.get("version") or image.get("version") or "")[:10]
            axes = [axis["name"] for axis in image["axes"]]
            self._levels = [group[data["path"]] for data in image["datasets"]]
            levels = _levels_of(path, axes, self._levels)
            scale = image["datasets"][0]["coordinateTransformations"][0]["scale"]
            mpp = _mpp(image["axes"], scale)
            floats = self._levels[0].dtype == np.float32
            channels = _channels(ngff, self._levels[0].shape[0], floats)
            self._metadata = attributes
        except UhrError:
            raise
        except Exception as error:  # zarr passes on whatever its stores and codecs raise
            if self._url is not None and not isinstance(error, LookupError | ValueError):
                raise unreachable(self._url, error) from error
            raise InputError(
                f"{path}: is no OME-Zarr image, or damaged ({error}); name the folder that holds "
                "its .zattrs or zarr.json."
            ) from error
        self.info = SlideInfo(
            path=str(path),
            reader="zarr",
            format=f"OME-Zarr {version}".rstrip(),
            levels=levels,
            mpp=mpp,
            bits=32 if floats else 16 if deep and self._levels[0].dtype == np.uint16 else 8,
            channels=channels,
            background=(0,) * len(channels) or WHITE,
            properties={"description": str(attributes.get("uhrt", {}).get("description", ""))},
        )

    def tile_size(self, level: int) -> tuple[int, int]:
        """See `Slide`."""
        chunks = self._levels[level].chunks
        return chunks[2], chunks[1]

    def read(self, x: int, y: int, w: int, h: int, level: int = 0) -> Pixels:
        """See `Slide`."""

        def inside(x: int, y: int, w: int, h: int) -> Pixels:
            try:
                planes = self._levels[level][:, y : y + h, x : x + w]
            except Exception as error:
                if self._url is not None and not isinstance(error, LookupError | ValueError):
                    raise broken_off(self._url, error) from error
                raise InputError(
                    f"{self.info.path}: a chunk of it is damaged ({error}); make it again."
                ) from error
            pixels = finite(np.ascontiguousarray(planes.transpose(1, 2, 0)))
            return to_bits(pixels, 8 * pixels.itemsize, self.info.bits)

        return read_padded(self.info, (x, y, w, h), level, inside)

    def fingerprint(self) -> Fingerprint | None:
        """See `Slide`; of a URL, what the metadata says and some pixels are.

        Raises:
            InputError: the pixels cannot be read.
        """
        if self._url is None:
            return super().fingerprint()
        digest = hashlib.sha256(repr((self._metadata, self.info)).encode())
        # A changed image changes its smallest level, if its levels are of the same picture.
        for number, parts in ((0, 3), (len(self._levels) - 1, 1)):
            level, (width, height) = self.info.levels[number], self.tile_size(number)
            w, h = min(width, level.width), min(height, level.height)
            for part in range(parts):
                share = (part + 0.5) / parts
                x, y = (int(share * side) for side in (level.width, level.height))
                digest.update(self.read(x // w * w, y // h * h, w, h, number).tobytes())
        return Fingerprint(0, 0, digest.hexdigest())


def _store(url: str) -> Any:
    """The store of a group on another machine; a query would belong to a single file of it."""
    system, path = filesystem(urlsplit(url)._replace(query="", fragment="").geturl(), True)
    return require("zarr.storage", "zarr").FsspecStore(system, read_only=True, path=path)


def _levels_of(path: Path | str, axes: list[str], arrays: list[Any]) -> tuple[Level, ...]:
    for array in arrays:
        good = array.ndim == 3 and array.dtype in (np.uint8, np.uint16, np.float32)
        good = good and array.dtype == arrays[0].dtype
        good = good and array.shape[0] == arrays[0].shape[0] <= MOST_CHANNELS
        if axes != ["c", "y", "x"] or not good or not 0 < max(array.shape) < _LARGEST:
            raise InputError(
                f"{path}: has axes {''.join(axes)} of {array.dtype} {array.shape}; only images of "
                f"axes cyx with up to {MOST_CHANNELS} channels of 8 or 16 bits or float32 are read."
            )
    _, height, width = arrays[0].shape
    return tuple(
        Level(a.shape[2], a.shape[1], max((width / a.shape[2] + height / a.shape[1]) / 2, 1.0))
        for a in arrays
    )


def _channels(ngff: dict[str, Any], count: int, floats: bool) -> tuple[Channel, ...]:
    """Names and colours of the channels; none if they are red, green and blue."""
    if count == 3 and not floats:
        return ()
    told = dict(enumerate(ngff.get("omero", {}).get("channels", ())))
    return tuple(
        Channel(
            shown_name(told.get(i, {}).get("label"), plain),
            hex_colour(told.get(i, {}).get("color"), plain),
        )
        for i, plain in enumerate(numbered_channels(count))
    )


def _mpp(axes: list[dict[str, Any]], scale: list[float]) -> tuple[float, float] | None:
    """Micrometres per pixel in x and y, if the axes have units."""
    sizes = [
        float(value) * _UNITS[axis["unit"]]
        for axis, value in zip(axes, scale, strict=True)
        if axis.get("unit") in _UNITS
    ]
    return (sizes[1], sizes[0]) if len(sizes) == 2 and min(sizes) > 0 else None
