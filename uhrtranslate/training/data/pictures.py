"""The images of a domain: found, checked once, and opened again when patches are read."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.errors import InputError
from uhrtranslate.io import (
    Pixels,
    SlideView,
    Stated,
    find_images,
    fingerprint,
    open_slide,
    open_view,
    slide_thumbnail,
)
from uhrtranslate.tables import RESULT_SUFFIXES
from uhrtranslate.tissue import detect_tissue
from uhrtranslate.training.data.drawn import Drawn, Open

# Larger side of the thumbnail in which tissue is looked for.
THUMBNAIL = 512
# Images of up to this many patch areas were cut from slides before; all of them is used.
CUT_BEFORE = 4
# Images that are open at a time.
OPEN = 64


@dataclass(frozen=True, eq=False)
class Picture:
    """What is known of an image of a domain.

    Attributes:
        path: of the file.
        width, height: at the resolution of the training, in px.
        mpp: at that resolution, micrometres per pixel; None if unknown.
        centres: flat indices of thumbnail pixels around which there is enough tissue, int32; None:
            patches from anywhere.
        grid: the thumbnail's height and width.
        area: px of the training's resolution that patches may be centred on.
        size, quickhash: of the file.
    """

    path: Path
    width: int
    height: int
    mpp: float | None
    centres: NDArray[np.int32] | None = field(repr=False)
    grid: tuple[int, int]
    area: float
    size: int
    quickhash: str

    def place(self, patch: int, random: np.random.Generator) -> tuple[int, int]:
        """A random patch: x, y of its first pixel."""
        if self.centres is None:
            x = int(random.integers(0, self.width - patch + 1))
            y = int(random.integers(0, self.height - patch + 1))
            return x, y
        rows, columns = self.grid
        centre = int(self.centres[random.integers(len(self.centres))])
        v = (centre // columns + random.random()) * self.height / rows
        u = (centre % columns + random.random()) * self.width / columns
        x = int(np.clip(u - patch / 2, 0, self.width - patch))
        y = int(np.clip(v - patch / 2, 0, self.height - patch))
        return x, y

    def record(self) -> dict[str, Any]:
        """A line of the data manifest."""
        return {
            "path": str(self.path),
            "bytes": self.size,
            "quickhash": self.quickhash,
            "width": self.width,
            "height": self.height,
            "mpp": self.mpp,
            "patch_area": round(self.area),
        }


class _Entry:
    """A view, and how many are reading it."""

    def __init__(self, view: SlideView, close: Callable[[], None]) -> None:
        self.view, self.close, self.users = view, close, 0


class Opened:
    """Views of images at the resolution of the training; those used last stay open.

    Args:
        level, mpp: of the views, see `open_view`.
        stated: the images' own resolution.
        deep: whether images of 16 bits are read as such.
        opening: opens a view that does not come from one file; then none of the above holds.
    """

    def __init__(
        self,
        level: int | None = None,
        mpp: float | None = None,
        stated: Stated | None = None,
        deep: bool = False,
        opening: Open | None = None,
    ) -> None:
        self._opening = opening
        self._level, self._mpp, self._stated, self._deep = level, mpp, stated, deep
        self._entries: OrderedDict[Path, _Entry] = OrderedDict()
        self._lock = Lock()

    @contextmanager
    def view(self, path: Path) -> Iterator[SlideView]:
        """The view of an image, open during the block; safe from several threads.

        Raises:
            InputError: it cannot be opened.
            OptionError: it has no such level or mpp.
        """
        entry = self._take(path)
        if entry is None:
            own = _Entry(*self._open(path))  # not under the lock, as photos are decoded here
            with self._lock:
                entry = self._entries.setdefault(path, own)
                entry.users += 1
            if entry is not own:  # another thread was faster
                own.close()
        try:
            yield entry.view
        finally:
            self._give_back(entry)

    def read(self, path: Path, x: int, y: int, w: int, h: int) -> Pixels:
        """Pixels of an image's view, [h, w, 3] uint8, or uint16 if they are deep."""
        with self.view(path) as view:
            return view.read(x, y, w, h)

    def close(self) -> None:
        """Close all images; nobody may be reading them."""
        for entry in self._entries.values():
            entry.close()
        self._entries.clear()

    def _open(self, path: Path) -> tuple[SlideView, Callable[[], None]]:
        if self._opening is not None:
            return self._opening(path, self._deep)
        slide = open_slide(path, self._deep, stated=self._stated)
        try:
            return open_view(slide, self._level, self._mpp), slide.close
        except BaseException:
            slide.close()
            raise

    def _take(self, path: Path) -> _Entry | None:
        with self._lock:
            entry = self._entries.get(path)
            if entry is not None:
                self._entries.move_to_end(path)
                entry.users += 1
            return entry

    def _give_back(self, entry: _Entry) -> None:
        with self._lock:
            entry.users -= 1
            idle = [path for path, one in self._entries.items() if one.users == 0]
            for path in idle[: max(len(self._entries) - OPEN, 0)]:
                self._entries.pop(path).close()


def find_pictures(place: Path) -> list[Path]:
    """Paths of the images of a domain, sorted.

    Raises:
        InputError: there are none, or the folder cannot be read.
    """
    return [path.resolve() for path in find_images(place, RESULT_SUFFIXES)]


def partners_by_name(first: list[Path], second: list[Path]) -> list[tuple[Path, Path]]:
    """Pairs of images with equal names, whatever their endings; a single image of each is a pair.

    Raises:
        InputError: one has no partner, or two have the same name.
    """
    if len(first) == len(second) == 1:
        return [(first[0], second[0])]
    names = []
    for paths in (first, second):
        by_name: dict[str, Path] = {}
        for path in paths:
            if path.stem in by_name:
                raise InputError(f"{path}: {by_name[path.stem]} has the same name; rename one.")
            by_name[path.stem] = path
        names.append(by_name)
    for own, others, place in ((names[0], names[1], second), (names[1], names[0], first)):
        for name, path in own.items():
            if name not in others:
                raise InputError(
                    f"{path}: has no partner of this name in {place[0].parent}; add it, or remove "
                    "this one."
                )
    return [(path, names[1][name]) for name, path in names[0].items()]


def examine(
    path: Path, view: SlideView, patch: int, tissue: float, whole: tuple[int, int] | None = None
) -> Picture:
    """Find out where patches can be cut from an image.

    Args:
        path: of the image.
        view: of it, at the resolution of the training.
        patch: side of the patches in px.
        tissue: least share of a patch that must be tissue; 0 skips the search for tissue.
        whole: width and height of the part that patches are cut from, if not the whole view.

    Raises:
        InputError: the image is smaller than a patch, or has too little tissue.
    """
    width, height = whole or (view.width, view.height)
    if min(width, height) < patch:
        raise InputError(
            f"{path}: has {width} x {height} px at this resolution, less than a patch of "
            f"{patch} px; choose a smaller data.patch, a finer resolution, or remove it."
        )
    try:
        mark = fingerprint(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    centres, grid, area = None, (1, 1), float((width - patch + 1) * (height - patch + 1))
    if tissue > 0 and width * height > CUT_BEFORE * patch**2:
        thumbnail = slide_thumbnail(view.slide, THUMBNAIL)
        mask = detect_tissue(thumbnail)
        if whole is not None:
            mask = mask[:, : max(round(mask.shape[1] * width / view.width), 1)]
        grid = (mask.shape[0], mask.shape[1])
        side = patch * grid[1] / width
        centres = np.flatnonzero(window_share(mask, side) >= tissue).astype(np.int32)
        area = len(centres) * (width / grid[1]) * (height / grid[0])
        if len(centres) == 0:
            raise InputError(
                f"{path}: no patch of it has {tissue:.0%} of tissue; remove it, or lower "
                "data.tissue (0 takes patches from anywhere)."
            )
    mpp = None if view.mpp is None else round(view.mpp[0], 6)
    return Picture(path, width, height, mpp, centres, grid, area, mark.size, mark.quickhash)


def examine_drawn(drawn: Drawn, path: Path, view: SlideView, patch: int, tissue: float) -> Picture:
    """As `examine`, of a slide of A in the frame of its pair: patches need tissue of both slides.

    Raises:
        InputError: the slide is smaller than a patch, or has no such places.
    """
    plain = examine(path, view, patch, 0)
    inside, both = drawn.inside[path], drawn.tissue[path]
    side = patch * inside.shape[1] / view.width
    # The slides need not end where a pixel of the picture does.
    fitting = window_share(inside, side + 2) >= 1
    if tissue > 0:
        fitting &= window_share(both, side) >= tissue
    centres = np.flatnonzero(fitting).astype(np.int32)
    if len(centres) == 0:
        raise InputError(
            f"{path}: no patch of it has {tissue:.0%} of tissue that its partner has, too; remove "
            "the pair, or lower data.tissue."
        )
    area = len(centres) * view.width * view.height / inside.size
    return replace(plain, centres=centres, grid=inside.shape, area=area)


def window_share(mask: NDArray[np.bool_], side: float) -> NDArray[np.float64]:
    """Share of a square of `side` px around each pixel that is set, [h, w] in 0..1.

    Squares are moved inside, as patches are.
    """
    h, w = mask.shape
    rows, columns = (max(1, min(round(side), n)) for n in (h, w))
    total = np.zeros((h + 1, w + 1))
    total[1:, 1:] = mask.cumsum(0).cumsum(1)
    y = np.clip(np.arange(h) - rows // 2, 0, h - rows)[:, None]
    x = np.clip(np.arange(w) - columns // 2, 0, w - columns)[None, :]
    inside = total[y + rows, x + columns] - total[y, x + columns]
    inside = inside - total[y + rows, x] + total[y, x]
    return np.asarray(inside / (rows * columns))


def pick(pictures: Sequence[Picture], random: np.random.Generator) -> Picture:
    """Draw an image, with a probability in proportion to its area for patches."""
    if len(pictures) == 1:
        return pictures[0]
    ends = np.cumsum([picture.area for picture in pictures])
    return pictures[int(np.searchsorted(ends, random.random() * ends[-1], side="right"))]
