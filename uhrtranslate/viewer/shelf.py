"""The images that may be looked at: found once, known by ids, opened when they are wanted."""

import hashlib
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from uhrtranslate.errors import InputError
from uhrtranslate.evaluation.made import Made, made_of, read_made
from uhrtranslate.io import (
    Missing,
    Slide,
    Source,
    Stated,
    expand_inputs,
    open_slide,
    shown,
)
from uhrtranslate.io.files.remote import is_url
from uhrtranslate.io.readers.unfinished import UnfinishedSlide, find_unfinished, target_name
from uhrtranslate.viewer.looks import ChannelLook, plain_looks
from uhrtranslate.viewer.pyramid import TilePyramid

# Slides that are open at once: the panes of a page, and a few more.
MOST_OPEN = 8
# Seconds for which a folder, and a file's time, are taken for what they were.
FRESH = 2.0
# What is no image, and which such files are read if they lie in a folder that is looked at.
DOCUMENTS = (".json", ".geojson")
REPORTS = ("evaluation.json", "compare.json")
MOST_IMAGES = 20_000


class GoneError(InputError):
    """An image was there and is no more."""


@dataclass(frozen=True)
class Item:
    """An image on the shelf.

    Attributes:
        key: its id.
        source: its path or URL.
        name: of its file.
        folder: below the folder that was named, for lists; empty if it was named itself.
        unfinished: the source is the folder of an unfinished run.
        stated: what its user says of its resolution.
    """

    key: str
    source: Source
    name: str
    folder: str = ""
    unfinished: bool = False
    stated: Stated | None = None


@dataclass(eq=False)
class OpenImage:
    """A slide that is open, with its tiles.

    Attributes:
        slide: of its own depth, and of channels if it has such.
        tiles: the same as Deep Zoom tiles.
        made: what its description says.
        version: changes when the file does.
    """

    slide: Slide
    tiles: TilePyramid
    made: Made
    version: str
    users: int = 0
    checked: float = field(default_factory=time.monotonic)
    _looks: tuple[ChannelLook, ...] | None = None

    @property
    def looks(self) -> tuple[ChannelLook, ...]:
        """How its channels are shown if nobody says; empty for colours."""
        if self._looks is None:
            self._looks = plain_looks(self.slide)
        return self._looks

    def close(self) -> None:
        """Close the file."""
        self.tiles.close()
        self.slide.close()


class Shelf:
    """Images by id; safe from several threads.

    Args:
        places: files, folders, URLs, patterns; JSON files are left to the caller.
        stated: what is stated of the resolution of all images.

    Raises:
        InputError: there are no images, or one that was named is missing.
    """

    def __init__(self, places: Sequence[str], stated: Stated | None = None) -> None:
        self._places = [place for place in places if not is_document(place)]
        self._stated = stated
        self._lock = threading.RLock()
        self._items: dict[str, Item] = {}
        self._read = 0.0
        self._open: OrderedDict[str, OpenImage] = OrderedDict()
        self._opening: dict[str, threading.Lock] = {}
        self.folders = [Path(one) for one in self._places if _is_folder(one)]
        self._find(strict=True)

    @classmethod
    def of_slides(cls, slides: Sequence[Slide]) -> "Shelf":
        """A shelf of slides that are open already, such as computed ones."""
        shelf = cls.__new__(cls)
        shelf._places, shelf._stated, shelf.folders = [], None, []
        shelf._lock, shelf._opening, shelf._items = threading.RLock(), {}, {}
        shelf._read, shelf._open = 0.0, OrderedDict()
        for number, slide in enumerate(slides):
            key = f"slide-{number}"
            shelf._items[key] = Item(key, slide.info.path, slide.info.path)
            opened = OpenImage(slide, TilePyramid(slide), Made(), "0", users=1)
            shelf._open[key] = opened
        return shelf

    def items(self) -> list[Item]:
        """All images, those that were named first; folders are searched again from time to time."""
        with self._lock:
            if self.folders and time.monotonic() - self._read > FRESH:
                self._find(strict=False)
            return list(self._items.values())

    def item(self, key: str) -> Item:
        """An image by its id.

        Raises:
            KeyError: there is none.
        """
        with self._lock:
            return self._items[key]

    @contextmanager
    def opened(self, key: str) -> Iterator[OpenImage]:
        """An image, open for the block.

        Raises:
            KeyError: there is no such id.
            GoneError: the file is there no more.
            InputError: it cannot be read.
        """
        image = self._taken_or_found(self.item(key))
        try:
            yield image
        finally:
            with self._lock:
                image.users -= 1
                self._close_some()

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()

    def _find(self, strict: bool) -> None:
        found: list[Item] = []
        for place in self._places:
            try:
                found += self._in_place(place)
            except InputError:
                if strict:
                    raise
        with self._lock:
            kept = [] if strict else [one for one in self._items.values() if not one.folder]
            # Of a result that is made again, the complete one is shown.
            self._items = {}
            for item in (*kept, *found[:MOST_IMAGES]):
                self._items.setdefault(item.key, item)
            self._read = time.monotonic()

    def _in_place(self, place: str) -> Iterator[Item]:
        folder = Path(place) if _is_folder(place) else None
        unfinished = [] if folder is None else find_unfinished(folder)
        try:
            found = expand_inputs([place])
            errors = [one.error for one in found if isinstance(one, Missing)]
            if errors and not unfinished:
                raise errors[0]
        except InputError:
            if not unfinished:
                raise
            found = []
        for one in found:
            if isinstance(one, Missing):
                continue
            below = "" if folder is None else _below(one.path.parent, folder)
            yield self._make(one.source, one.path.name, below, False)
        for partial in unfinished:
            assert folder is not None
            yield self._make(partial, target_name(partial), _below(partial.parent, folder), True)

    def _make(self, source: Source, name: str, folder: str, unfinished: bool) -> Item:
        # A result keeps the id that it has while it is made.
        place = source.with_name(name) if unfinished and isinstance(source, Path) else source
        return Item(_key(place, name), source, name, folder, unfinished, self._stated)

    def _taken_or_found(self, item: Item) -> OpenImage:
        """As `_take`; what is gone from a folder may be there otherwise: a run that has ended."""
        try:
            return self._take(item)
        except GoneError:
            if not self.folders:
                raise
            self._find(strict=False)
            again = self._items.get(item.key)
            if again is None or again == item:
                raise
            return self._take(again)

    def _take(self, item: Item) -> OpenImage:
        """The open image with one more user."""
        with self._lock:
            opening = self._opening.setdefault(item.key, threading.Lock())
        with opening:  # others can be opened meanwhile
            with self._lock:
                image = self._open.get(item.key)
                if image is not None:
                    self._open.move_to_end(item.key)
                    image.users += 1
            if image is not None and self._is_current(item, image):
                return image
            if image is not None:
                self._let_go(item, image)
            image = _open(item)
            with self._lock:
                self._open[item.key] = image
                image.users = 1
            return image

    def _is_current(self, item: Item, image: OpenImage) -> bool:
        if not isinstance(item.source, Path) or time.monotonic() - image.checked < FRESH:
            return True
        image.checked = time.monotonic()
        try:
            return version_of(item) == image.version
        except GoneError:
            self._let_go(item, image)
            raise

    def _let_go(self, item: Item, image: OpenImage) -> None:
        """Have nobody else use an open image, and close it after its last user."""
        with self._lock:
            image.users -= 1
            self._open.pop(item.key, None)
            if not image.users:
                image.close()

    def _close_some(self) -> None:
        idle = [key for key, image in self._open.items() if not image.users]
        for key in idle[: max(len(self._open) - MOST_OPEN, 0)]:
            self._open.pop(key).close()


def is_document(place: str) -> bool:
    """Whether a place is a file that says something of images."""
    return place.lower().endswith(DOCUMENTS) and not is_url(place)


def version_of(item: Item) -> str:
    """What changes when a file does.

    Raises:
        GoneError: it is not there.
    """
    if not isinstance(item.source, Path):
        return "0"
    path = item.source / "state" if item.unfinished else item.source
    try:
        status = path.stat()
    except OSError:
        end = "its run has ended; the list shows the result" if item.unfinished else "look for it"
        raise GoneError(f"{item.name}: is not there any more; {end}.") from None
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def _open(item: Item) -> OpenImage:
    version = version_of(item)
    if item.unfinished:
        assert isinstance(item.source, Path)
        partial = UnfinishedSlide(item.source)
        return OpenImage(partial, TilePyramid(partial), made_of(partial.description), version)
    slide = open_slide(item.source, deep=True, sparse=True, channels=True, stated=item.stated)
    try:
        return OpenImage(slide, TilePyramid(slide), read_made(item.source), version)
    except BaseException:
        slide.close()
        raise


def _is_folder(place: str) -> bool:
    if is_url(place):
        return False
    with suppress(OSError, ValueError):
        return Path(place).is_dir() and Path(place).suffix.lower() != ".zarr"
    return False


def _below(path: Path, folder: Path) -> str:
    with suppress(ValueError):
        return f"{folder.name or folder}/{path.relative_to(folder)}".removesuffix("/.")
    return str(path)


def _key(source: Source, name: str) -> str:
    """An id that says something to people, and is the same in the next run."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    digest = hashlib.blake2s(shown(source).encode("utf-8", "surrogateescape"), digest_size=4)
    return f"{plain}-{digest.hexdigest()}"
