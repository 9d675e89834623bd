"""What a generator is fed for one image: planes made from its pixels and its histogram."""

from threading import Lock

import numpy as np

from uhrtranslate.enhance import (
    Stack,
    Tally,
    are_matched,
    are_of_dark,
    channels_of,
    no_dark_field,
)
from uhrtranslate.geometry import spans
from uhrtranslate.io import Pixels, SlideView, fitted_thumbnail
from uhrtranslate.models import GeneratorInfo

# Width in px of what is read at once to find a range.
READ_WIDTH = 512
# Largest side in px of the picture in which contrast is looked for, and percent of its pixels that
# do not count at either end: hot pixels of a camera.
LARGEST_PICTURE, OUTLIERS = 512, 0.1
# No slide has less contrast: a fifteenth of a step of 16 bits, for floats that are all but equal.
LEAST_CONTRAST = 1e-6


class Inputs:
    """Makes a generator's input of an image's pixels; a function that is safe from several threads.

    Args:
        info: what the generator takes.
        whole: all of the image at the resolution that is translated, whatever the region. It is
            read once, when a plane first needs its histogram, or floats their range.
    """

    def __init__(self, info: GeneratorInfo, whole: SlideView) -> None:
        self._info, self._whole = info, whole
        self._stack: Stack | None = None
        self._span: tuple[float, float] | None = None
        self._no_dark_field: str | None = None
        self._lock = Lock()
        self._contrast: float | None = None
        self._contrast_lock = Lock()

    def __call__(self, pixels: Pixels) -> Pixels:
        """Pixels [h, w, c] of the image as the generator's input, [h, w, channels].

        They are uint8, or of an image's own channels of more bits, or with a stated range, float32
        in 0..1.
        """
        made = self._prepared()(pixels)
        return made if self._span is None else within(made, self._span)

    @property
    def span(self) -> tuple[float, float] | None:
        """Pixel values that are the ends of the generator's range; None: 0 and 255."""
        self._prepared()
        return self._span

    @property
    def no_dark_field(self) -> str | None:
        """Why planes of dark fields cannot be made of the image, in a few words; None if they can.

        It is read for that if some of the planes are of dark fields, which need its histogram.
        """
        if are_of_dark(self._info.inputs):
            self._prepared()
        return self._no_dark_field

    @property
    def contrast(self) -> float:
        """The part of the generator's range that the whole slide uses, in 0..1; 1 for colours.

        Of the channel that uses most. Cells are empty if they vary little in comparison.
        """
        if channels_of(self._info.inputs):
            return 1.0
        with self._contrast_lock:
            if self._contrast is None:
                self._contrast = self._find_contrast()
            return self._contrast

    def _find_contrast(self) -> float:
        picture = self(fitted_thumbnail(self._whole, LARGEST_PICTURE, deep=True))
        ends = np.percentile(picture, (OUTLIERS, 100 - OUTLIERS), axis=(0, 1))
        top = 255 if picture.dtype == np.uint8 else 1
        return max(float((ends[1] - ends[0]).max()) / top, LEAST_CONTRAST)

    def _prepared(self) -> Stack:
        with self._lock:
            if self._stack is None:
                if channels_of(self._info.inputs) == 0:
                    self._span = self._info.input_range or _range_of(self._whole)
                self._stack = self._make()
            return self._stack

    def _make(self) -> Stack:
        info = self._info
        if not are_matched(info.inputs) or info.histogram is None:
            return Stack(info.inputs)
        tally = Tally.of_image(self._whole)
        if are_of_dark(info.inputs):
            self._no_dark_field = no_dark_field(tally)
        return Stack(info.inputs, tally, Tally.of_levels(info.histogram))


def _range_of(view: SlideView) -> tuple[float, float] | None:
    """That of the type of an image's pixels, or of floats their own; None for 8 bits."""
    if view.dtype.kind == "f":
        return find_range(view)
    return None if view.dtype == np.uint8 else (0.0, float(np.iinfo(view.dtype).max))


def find_range(view: SlideView) -> tuple[float, float]:
    """The least and the largest value of all channels of an image, read part by part."""
    low, high = np.inf, -np.inf
    for y0, y1 in spans(view.height, view.strip_height):
        for x0, x1 in spans(view.width, READ_WIDTH):
            part = view.read(x0, y0, x1 - x0, y1 - y0)
            low, high = min(low, float(part.min())), max(high, float(part.max()))
    return low, high


def within(pixels: Pixels, span: tuple[float, float]) -> Pixels:
    """Pixels as float32: 0 at the lower end of a span and below, 1 at the upper one and above."""
    low, high = span
    scale = np.float32(1 / (high - low) if high > low else 0)
    scaled = (pixels - np.float32(low)) * scale
    return np.clip(scaled, 0, 1, out=scaled)
