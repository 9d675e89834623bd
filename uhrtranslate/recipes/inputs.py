"""What a generator is fed for one image: planes made from its pixels and its histogram."""

from threading import Lock

from uhrtranslate.enhance import Stack, Tally, are_matched
from uhrtranslate.io import Pixels, SlideView
from uhrtranslate.models import GeneratorInfo


class Inputs:
    """Makes a generator's input of an image's pixels; a function that is safe from several threads.

    Args:
        info: what the generator takes.
        whole: all of the image at the resolution that is translated, whatever the region. It is
            read once, when a plane first needs its histogram.
    """

    def __init__(self, info: GeneratorInfo, whole: SlideView) -> None:
        self._info, self._whole = info, whole
        self._stack: Stack | None = None
        self._lock = Lock()

    def __call__(self, pixels: Pixels) -> Pixels:
        """Pixels [h, w, 3] of the image, of 8 or 16 bits, as [h, w, c] uint8."""
        with self._lock:
            if self._stack is None:
                self._stack = self._make()
        return self._stack(pixels)

    def _make(self) -> Stack:
        info = self._info
        if not are_matched(info.inputs) or info.histogram is None:
            return Stack(info.inputs)
        return Stack(info.inputs, Tally.of_image(self._whole), Tally.of_levels(info.histogram))
