"""What there is to ask for: addresses of the page and what they give. Nothing is ever changed."""

import re
import threading
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from uhrtranslate.errors import UhrError
from uhrtranslate.io.readers.unfinished import UnfinishedSlide
from uhrtranslate.pixels import to_bits
from uhrtranslate.threads import Workers
from uhrtranslate.version import __version__
from uhrtranslate.viewer.looks import encoded, in_colour, read_looks
from uhrtranslate.viewer.marks import (
    Documents,
    Evaluated,
    grids,
    heat_picture,
    seams,
    tissue_picture,
)
from uhrtranslate.viewer.places import Image, place_of
from uhrtranslate.viewer.profiles import on_screen
from uhrtranslate.viewer.pyramid import TILE
from uhrtranslate.viewer.regions import read_corners, region_statistics
from uhrtranslate.viewer.responses import (
    KINDS,
    PAGE,
    Bytes,
    Response,
    asset,
    error_response,
    json_response,
)
from uhrtranslate.viewer.shelf import GoneError, Item, OpenImage, Shelf, version_of

if TYPE_CHECKING:
    from uhrtranslate.registration import Transform

# The largest level that is a single tile.
WHOLE = 8
# The level in which tissue is found: up to 2,048 px.
TISSUE_LEVEL = 11
# Bytes of encoded tiles and pictures that are kept, of all images together.
CACHE_BYTES = 48 << 20
# Tiles that are computed at once; others wait. More than cores, as some wait for the disk.
AT_ONCE = 4
# Seconds that a request waits for what is made of a whole slide; its page asks again.
PATIENCE = 1.5
# Images that were named one by one and may decide where others lie.
MOST_NAMED = 24
# Images of a folder that are opened to find what another was made of.
MOST_BESIDE = 8
# Largest numbers in an address: no image has more.
_TILE = re.compile(r"images/([a-z0-9-]{1,80})_files/(\d{1,2})/(\d{1,7})_(\d{1,7})\.(jpg|png)")
_FACT = re.compile(
    r"images/([a-z0-9-]{1,80})\.(json|thumb\.jpg|tissue\.png|heat\.png|pixel\.json|region\.json)"
)


class Routes:
    """Everything that a page can ask for; safe from several threads.

    Args:
        shelf: the images.
        documents: what was measured and drawn on them.
        transforms: of moving slides, all with one fixed slide.
    """

    def __init__(
        self,
        shelf: Shelf,
        documents: Documents | None = None,
        transforms: "tuple[Transform, ...]" = (),
    ) -> None:
        self.shelf = shelf
        self.documents = documents or Documents()
        self._transforms = transforms
        self._cache = Bytes(CACHE_BYTES)
        self._lock = threading.Lock()
        self._working = threading.BoundedSemaphore(AT_ONCE)
        self._maker = Workers(1, "uhrt-make")
        self._making: dict[Hashable, Future[None]] = {}
        self._known: dict[tuple[str, str], Image] = {}  # by id and version

    def answer(
        self, path: str, query: str = "", wanted: Callable[[], bool] = lambda: True
    ) -> Response:
        """What an address gives, errors included.

        Args:
            path: without the leading slash.
            query: what follows the `?`.
            wanted: asked when the turn comes to compute a tile: whether anybody still waits.
        """
        try:
            if path in ("", PAGE):
                return asset(PAGE)
            if path == "site.json":
                return json_response(self.site())
            if path == "annotations.json":
                return json_response({"annotations": self.documents.annotations})
            if tile := _TILE.fullmatch(path):
                return self._tile(tile, query, wanted)
            if fact := _FACT.fullmatch(path):
                return self._fact(fact[1], fact[2], query)
            return asset(path)
        except GoneError as error:
            return error_response(HTTPStatus.GONE, str(error))
        except KeyError:
            return error_response(HTTPStatus.NOT_FOUND, "there is no such thing here")
        except ValueError:
            return error_response(HTTPStatus.BAD_REQUEST, "the address is malformed")
        except UhrError as error:
            return error_response(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        except OSError as error:
            return error_response(
                HTTPStatus.INTERNAL_SERVER_ERROR, f"cannot be read ({error.strerror})."
            )

    def site(self, static: bool = False) -> dict[str, Any]:
        """What a page is told first: the images, without opening them."""
        items = self.shelf.items()
        named = [item for item in items if not item.folder]
        return {
            "uhrt": __version__,
            "static": static,
            "folders": bool(self.shelf.folders),
            "annotations": len(self.documents.annotations),
            "open": [item.key for item in named][:6],
            "items": [
                {
                    "id": item.key,
                    "name": item.name,
                    "folder": item.folder,
                    "unfinished": item.unfinished,
                }
                for item in items
            ],
        }

    def facts(self, item: Item, image: OpenImage) -> dict[str, Any]:
        """What a page is told of an image."""
        info = image.slide.info
        own = _image(item, image)
        reference = self._reference()
        others = [*self._others(reference), *self._beside(item, own)]
        place = place_of(own, others, self._transforms)
        evaluated = self._evaluated(item)
        measured = reference.mpp if reference is not None else info.mpp
        if reference is None and self._transforms:
            measured = self._transforms[0].fixed.mpp
        found: dict[str, Any] = {
            "id": item.key,
            "name": item.name,
            "width": info.width,
            "height": info.height,
            "tile": TILE,
            "last": image.tiles.last,
            "mpp": info.mpp,
            "power": info.objective_power,
            "format": info.format,
            "bits": info.bits,
            "unit": "px" if measured is None else "um",
            "place": place.as_json(info.width, info.height),
            "version": image.version,
            "grids": grids(image.made, image.slide),
            "slow": image.tiles.slow,
            "tissue": not info.channels,
            "profile": info.icc_profile is not None,
            "channels": [
                {
                    "name": channel.name,
                    "colour": "#{:02x}{:02x}{:02x}".format(*look.colour),
                    "low": look.low,
                    "high": look.high,
                }
                for channel, look in zip(info.channels, image.looks, strict=True)
            ],
        }
        if isinstance(image.slide, UnfinishedSlide):
            found["done"] = image.slide.done
        if evaluated is not None:
            found["seams"] = seams(evaluated)
        return found

    def _reference(self) -> Image | None:
        """The image that gives the plane its unit: the fixed one, else the first."""
        fixed = [(one.fixed.width, one.fixed.height) for one in self._transforms]
        for item in self.shelf.items()[:MOST_NAMED]:
            image = None if item.folder else self._look_up(item)
            if image is not None and (not fixed or (image.width, image.height) in fixed):
                return image
        return None

    def _others(self, reference: Image | None) -> list[Image]:
        """The images that were named one by one, the reference first."""
        if reference is None:
            return []
        named = [item for item in self.shelf.items()[:MOST_NAMED] if not item.folder]
        found = [self._look_up(item) for item in named if item.key != reference.key]
        return [reference, *filter(None, found)]

    def _beside(self, item: Item, image: Image) -> list[Image]:
        """Of a result of a part of a slide: what lies in a folder and may be its source."""
        if image.made.source_size is None:
            return []
        stem = item.name.split(".")[0]
        near = [
            one
            for one in self.shelf.items()
            if one.folder and one.key != item.key and one.name.startswith(stem)
        ]
        return [*filter(None, map(self._look_up, near[:MOST_BESIDE]))]

    def _look_up(self, item: Item) -> Image | None:
        """What decides where an image lies; None if it cannot be opened."""
        try:
            key = item.key, version_of(item)
            if key not in self._known:
                with self.shelf.opened(item.key) as opened:
                    self._known[key] = _image(item, opened)
            return self._known[key]
        except (UhrError, KeyError):
            return None

    def _evaluated(self, item: Item) -> Evaluated | None:
        return self.documents.about(item.source) if isinstance(item.source, Path) else None

    def _tile(self, asked: "re.Match[str]", query: str, wanted: Callable[[], bool]) -> Response:
        key, kind = asked[1], asked[5]
        level, column, row = (int(asked[i]) for i in (2, 3, 4))
        chosen = _chosen(query)
        with self.shelf.opened(key) as image:
            profile = image.slide.info.icc_profile if chosen.get("icc") == "1" else None
            asked_as = chosen.get("c", ""), profile is not None
            name = (key, image.version, level, column, row, kind, *asked_as)
            kept = self._cache.get(name)
            if kept is None:
                if not self._made_in_time(key, image, level, column, row):
                    return _later()
                # Of colours, what is asked for of channels means nothing.
                channels = len(image.slide.info.channels)
                looks = read_looks(chosen["c"], channels) if channels and "c" in chosen else None
                with self._working:
                    if not wanted():
                        return error_response(HTTPStatus.GONE, "nobody waits for it")
                    pixels = image.tiles.tile(level, column, row)
                    looks = image.looks if looks is None else looks
                    kept = encoded(on_screen(in_colour(pixels, looks), profile), kind)
                self._cache.put(name, kept)
        return Response(kept, KINDS[kind], lasting="v" in chosen)

    def _made_in_time(self, key: str, image: OpenImage, level: int, column: int, row: int) -> bool:
        """Whether a tile can be had at once, perhaps after having been made of many others."""
        if not image.tiles.needs_making(level, column, row):
            return True

        def make() -> None:
            with self.shelf.opened(key) as again:
                again.tiles.tile(level, column, row)

        return self._done_in_time((key, level, column, row), make)

    def _done_in_time(self, name: Hashable, make: Callable[[], None]) -> bool:
        """Whether something is made within a moment, one thing at a time.

        Making goes on by itself if it takes longer, so that nobody holds a connection for it.
        """
        with self._lock:
            future = self._making.get(name)
            if future is None:
                future = self._making[name] = self._maker.submit(make)
        try:
            future.result(PATIENCE)
        except TimeoutError:
            return False
        finally:
            if future.done():
                with self._lock:
                    self._making.pop(name, None)
        return True

    def close(self) -> None:
        """Close the images, and make nothing more."""
        self._maker.drop()
        self.shelf.close()

    def _fact(self, key: str, what: str, query: str) -> Response:
        chosen = _chosen(query)
        item = self.shelf.item(key)
        with self.shelf.opened(key) as image:
            if what == "json":
                return json_response(self.facts(item, image))
            if what == "pixel.json":
                return json_response(
                    {"values": _pixel(image, float(chosen["x"]), float(chosen["y"]))}
                )
            if what == "region.json":
                corners = read_corners(chosen["p"])
                with self._working:
                    try:
                        return json_response(region_statistics(image.slide, corners))
                    except ValueError as error:
                        return error_response(HTTPStatus.NOT_FOUND, f"{error}")
            name = (key, image.version, what)
            kept = self._cache.get(name)
            if kept is None:
                whole = min(WHOLE, image.tiles.last), 0, 0
                if what == "thumb.jpg" and not self._made_in_time(key, image, *whole):
                    return _later()
                if what == "tissue.png":
                    # Of a slide without small levels, the tiles are read that its overview needs.
                    if not self._done_in_time(name, lambda: self._keep(key, what)):
                        return _later()
                    kept = self._cache.get(name)
                if kept is None:
                    kept = self.picture(item, image, what)
                    self._cache.put(name, kept)
            return Response(kept, KINDS[what[-3:]], lasting="v" in chosen)

    def _keep(self, key: str, what: str) -> None:
        with self.shelf.opened(key) as image:
            found = self.picture(self.shelf.item(key), image, what)
            self._cache.put((key, image.version, what), found)

    def picture(self, item: Item, image: OpenImage, what: str) -> bytes:
        """A small picture of or over an image: `thumb.jpg`, `tissue.png` or `heat.png`.

        Raises:
            KeyError: there is none.
        """
        if what == "heat.png":
            evaluated = self._evaluated(item)
            picture = None if evaluated is None else heat_picture(evaluated)
        elif what == "tissue.png":
            picture = _tissue(image)
        else:
            with self._working:
                pixels = image.tiles.tile(min(WHOLE, image.tiles.last), 0, 0)
                picture = encoded(in_colour(pixels, image.looks), "jpg")
        if picture is None:
            raise KeyError(what)
        return picture


def _image(item: Item, image: OpenImage) -> Image:
    info = image.slide.info
    return Image(item.key, item.name, info.width, info.height, info.mpp, image.made)


def _pixel(image: OpenImage, x: float, y: float) -> list[float]:
    info = image.slide.info
    if not (0 <= x < info.width and 0 <= y < info.height):
        raise KeyError((x, y))
    values = image.slide.read(int(x), int(y), 1, 1)[0, 0]
    return [float(value) for value in values]


def _tissue(image: OpenImage) -> bytes | None:
    """The overlay of tissue; None of channels, and of images that are not complete."""
    info = image.slide.info
    if info.channels or isinstance(image.slide, UnfinishedSlide):
        return None
    tiles = image.tiles
    picture = to_bits(tiles.level(min(TISSUE_LEVEL, tiles.last)), info.bits)
    return tissue_picture(picture, info.mpp and max(info.mpp) * info.width / picture.shape[1])


def _later() -> Response:
    """The answer while something is made; no error, which browsers would write to their console."""
    return error_response(HTTPStatus.ACCEPTED, "it is being made; ask again")


def _chosen(query: str) -> Mapping[str, str]:
    """Names and values of a query.

    Raises:
        ValueError: it is malformed or has too many.
    """
    found = parse_qs(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=8)
    return {name: values[-1] for name, values in found.items()}
