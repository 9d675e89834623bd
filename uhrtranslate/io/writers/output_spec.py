"""The facts of an output: size, resolution, colour profile, how it was made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.errors import OptionError
from uhrtranslate.io.channels import Channel
from uhrtranslate.pixels import dtype_of
from uhrtranslate.tables import COMPRESSIONS
from uhrtranslate.version import __version__

SOFTWARE = f"uhrtranslate {__version__}"

# Resolutions outside this range do not fit the 32-bit fractions of TIFF and EXIF.
_MPP_RANGE = (1e-4, 1e6)
# The most bytes per pixel for tiles of a side in px.
_SIDES = {512: 16, 256: 64}


@dataclass(frozen=True)
class OutputSpec:
    """Everything about an output except its pixels and its name.

    Attributes:
        width, height: px of the largest level.
        mpp: micrometres per pixel of the largest level, along x and y.
        icc_profile: the colour profile of the pixels.
        description: how the image was made; JSON, or other text.
        compression: for TIFF tiles; a name in `COMPRESSIONS`.
        quality: for JPEG and WebP, 1 to 100.
        bits: depth of the pixels: 8, 16, or 32 for channels of float32; JPEG, WebP and Aperio's
            layout can only hold 8.
        tile: side of the TIFF tiles in px; a multiple of 16.
        smallest: the last level of a pyramid is the first whose longer side is at most this, in px.
        exif: EXIF block of the input, for photos; its orientation is dropped because the pixels are
            upright.
        format: for slides, a name in `FORMATS`; None chooses it by the output's name.
        objective_power: nominal magnification of the largest level.
        position: x and y of the top left corner in the source, in px of the largest level.
        channels: of an image that is no colour picture; empty for RGB.
        shown: pixel values that viewers show as black and as a channel's full colour; None: 0 and
            the largest of the type (of floats, 1).
        associated: thumbnail, label, macro image, each [h, w, 3] uint8, for formats that hold them.
    """

    width: int
    height: int
    mpp: tuple[float, float] | None = None
    icc_profile: bytes | None = None
    description: str = ""
    compression: str = "jpeg"
    quality: int = 90
    bits: int = 8
    tile: int = 512
    smallest: int = 1024
    exif: bytes | None = None
    format: str | None = None
    objective_power: float | None = None
    position: tuple[float, float] = (0, 0)
    channels: tuple[Channel, ...] = ()
    shown: tuple[float, float] | None = None
    associated: Mapping[str, NDArray[np.uint8]] = field(
        default_factory=lambda: MappingProxyType({}), repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.compression not in COMPRESSIONS:
            raise OptionError(
                f"compression {self.compression!r} is unknown; choose one of "
                f"{', '.join(COMPRESSIONS)}"
            )
        if not 1 <= self.quality <= 100:
            raise OptionError(f"quality {self.quality} is out of range; choose 1 to 100")
        if self.bits not in (8, 16, 32):
            raise OptionError(f"{self.bits} bits: choose 8, 16 or (float32) 32")
        if self.bits == 32 and not self.channels:
            raise OptionError("32 bits are for channels; colours have 8 or 16")
        if self.bits not in COMPRESSIONS[self.compression].bits:
            fit = [name for name, codec in COMPRESSIONS.items() if self.bits in codec.bits]
            raise OptionError(
                f"{self.compression} holds no {self.bits} bits; choose one of {', '.join(fit)}"
            )
        if self.tile < 16 or self.tile % 16:
            raise OptionError(f"TIFF tiles of {self.tile} px: choose a multiple of 16")
        if not (0 < self.width < 2**31 and 0 < self.height < 2**31 and self.smallest > 0):
            raise ValueError(f"an image of {self.width} x {self.height} px cannot be written")
        if self.mpp and not all(_MPP_RANGE[0] <= value <= _MPP_RANGE[1] for value in self.mpp):
            raise OptionError(f"mpp {self.mpp} cannot be stored; name the true one")
        if self.description.startswith("Aperio"):
            raise ValueError("a description that starts with 'Aperio' changes how readers read")

    @property
    def samples(self) -> int:
        """Samples of a pixel: as many as channels, or 3."""
        return len(self.channels) or 3

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        return dtype_of(self.bits)

    @property
    def position_um(self) -> tuple[float, float] | None:
        """The position in micrometres; None without a position or an mpp."""
        if self.mpp is None or self.position == (0, 0):
            return None
        return self.position[0] * self.mpp[0], self.position[1] * self.mpp[1]

    def position_tags(self) -> tuple[tuple[int, int, int, tuple[int, int], bool], ...]:
        """TIFF's XPosition and YPosition in cm, as tifffile expects them; empty if unknown."""
        if self.position_um is None:
            return ()
        rational, denominator = 5, 10**8  # a tenth of a nanometre, up to 42 cm
        return tuple(
            (code, rational, 1, (round(um / 1e4 * denominator), denominator), True)
            for code, um in zip((286, 287), self.position_um, strict=True)
        )


def tile_side(samples: int, bits: int) -> int:
    """Side in px of the stored tiles: 512, or less if pixels have many bytes.

    A row of unfinished tiles of every level is held in memory, and others are being encoded.
    """
    bytes_per_pixel = samples * bits // 8
    return next((side for side, most in _SIDES.items() if bytes_per_pixel <= most), 128)


def pixels_per_cm(mpp: tuple[float, float], downsample: tuple[float, float]) -> tuple[float, float]:
    """The XResolution and YResolution of a level, for TIFF and EXIF."""
    return 1e4 / (mpp[0] * downsample[0]), 1e4 / (mpp[1] * downsample[1])
