"""An image at a larger size, enlarged where it is read."""

from dataclasses import replace

from uhrtranslate.geometry.levels import level_downsample
from uhrtranslate.io import Level, Pixels, Slide, SlideView
from uhrtranslate.io.files.fingerprint import Fingerprint
from uhrtranslate.io.resample import BLOCK, Resampled
from uhrtranslate.io.slide import read_padded


class ViewedSlide(Slide):
    """A view as a slide with one level; a `Slide`."""

    def __init__(self, view: SlideView) -> None:
        self._view = view
        size = Level(view.width, view.height, 1.0)
        self.info = replace(
            view.info, reader="virtual", levels=(size,), mpp=view.mpp, associated=()
        )

    def tile_size(self, level: int) -> tuple[int, int]:
        """Those of the level that the view is made from."""
        return self._view.slide.tile_size(self._view.level)

    def read(self, x: int, y: int, w: int, h: int, level: int = 0) -> Pixels:
        """See `Slide.read`."""
        return read_padded(self.info, (x, y, w, h), level, self._view.read)

    def fingerprint(self) -> Fingerprint | None:
        """That of the slide."""
        return self._view.slide.fingerprint()


class EnlargedSlide(ViewedSlide):
    """A view, bicubically enlarged; a `Slide`. Other levels are halves, down to the view's size.

    Args:
        view: its slide must stay open.
        width, height: of level 0 in px, not less than the view's.
        box: x, y, w, h of the part to enlarge, in px of the view; all of it by default.
    """

    def __init__(
        self,
        view: SlideView,
        width: int,
        height: int,
        box: tuple[float, float, float, float] | None = None,
    ) -> None:
        super().__init__(view)
        box = box or (0, 0, view.width, view.height)
        sizes = [(width, height)]
        while sizes[-1][0] >= 2 * box[2] and sizes[-1][1] >= 2 * box[3] and min(sizes[-1]) > 1:
            sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
        source = ViewedSlide(view)
        self._levels = [Resampled(source, 0, box, *size, enlarging=True) for size in sizes]
        mpp, power = self.info.mpp, view.info.objective_power
        finer = width / (view.region[2] * box[2] / view.width)
        self.info = replace(
            self.info,
            format="enlarged",
            levels=tuple(Level(*size, level_downsample(sizes[0], size)) for size in sizes),
            mpp=mpp and (mpp[0] * box[2] / width, mpp[1] * box[3] / height),
            objective_power=None if power is None else round(power * finer, 3),
        )

    def tile_size(self, level: int) -> tuple[int, int]:
        """The blocks that are computed."""
        return BLOCK, BLOCK

    def read(self, x: int, y: int, w: int, h: int, level: int = 0) -> Pixels:
        """See `Slide.read`."""
        return read_padded(self.info, (x, y, w, h), level, self._levels[level])
