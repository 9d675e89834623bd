"""The page with all its tiles as files, which any web server can serve; Deep Zoom images."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

from uhrtranslate.errors import OutputError
from uhrtranslate.io.files.disk import output_errors
from uhrtranslate.threads import Workers, result_of
from uhrtranslate.version import __version__
from uhrtranslate.viewer.looks import encoded, in_colour
from uhrtranslate.viewer.pyramid import TILE
from uhrtranslate.viewer.responses import assets
from uhrtranslate.viewer.routes import WHOLE, Routes
from uhrtranslate.viewer.server import POLICY
from uhrtranslate.viewer.shelf import Item, OpenImage

# Threads that compute tiles, and how many tiles are under way in each.
WORKERS, IN_FLIGHT = 2, 4
# Whose tiles a folder has that is not complete: versions of uhrt and of images.
DONE = "export.json"
Told = Callable[[str], None]


def export(routes: Routes, folder: Path, told: Told = lambda sentence: None) -> Path:
    """Write the page, and every tile of every image.

    The folder gets its name when it is complete; of an interrupted run, the folder `.part` beside
    it is left, with which the next one goes on: tiles of files that are as they were are kept.

    Args:
        routes: of the page.
        folder: to be made.
        told: called with a sentence about each image.

    Returns:
        The page.

    Raises:
        OutputError: the folder exists already, or cannot be written.
        InputError: an image cannot be read.
    """
    unfinished = folder.with_name(folder.name + ".part")
    with output_errors(folder):
        if folder.exists():
            raise OutputError(f"{folder}: exists already; choose another folder for --export.")
        (unfinished / "images").mkdir(parents=True, exist_ok=True)
        for name, data in assets().items():
            if name == "index.html":
                data = _with_policy(data)
            (unfinished / name).write_bytes(data)
        site = routes.site(static=True)
        _write_json(unfinished / "site.json", site)
        _write_json(unfinished / "annotations.json", {"annotations": routes.documents.annotations})
        items = routes.shelf.items()
        done = _kept(unfinished, {item.key for item in items})
        for item in items:
            with routes.shelf.opened(item.key) as image:
                if done.pop(item.key, None) != image.version:
                    _remove(unfinished / "images", item.key)
                if isinstance(item.source, Path):  # of URLs, nobody knows whether they change
                    done[item.key] = image.version
                    _write_json(unfinished / DONE, {"uhrt": __version__, "images": done})
                there = sum(1 for _ in (unfinished / "images").glob(f"{item.key}_files/*/*.jpg"))
                more = f"; {there:,} are there already" if there else ""
                told(f"{item.name}: writing {_count(image):,} tiles{more}.")
                _write_image(routes, item, image, unfinished / "images")
        (unfinished / DONE).unlink(missing_ok=True)
        os.replace(unfinished, folder)
    return folder / "index.html"


def _kept(unfinished: Path, keys: set[str]) -> dict[str, str]:
    """Versions of the images of which an interrupted run has left tiles; of others, none stay."""
    done: dict[str, str] = {}
    with suppress(OSError, ValueError, TypeError, KeyError):
        record = json.loads((unfinished / DONE).read_bytes())
        if record["uhrt"] == __version__:
            done = {str(key): str(version) for key, version in record["images"].items()}
    for path in (unfinished / "images").iterdir():
        key = path.name.partition(".")[0].removesuffix("_files")
        if key not in keys or key not in done:
            _remove(unfinished / "images", key)
    return {key: version for key, version in done.items() if key in keys}


def _remove(folder: Path, key: str) -> None:
    """Take away all of an image."""
    shutil.rmtree(folder / f"{key}_files", ignore_errors=True)
    for path in folder.glob(f"{key}.*"):
        path.unlink(missing_ok=True)


def _write_image(routes: Routes, item: Item, image: OpenImage, folder: Path) -> None:
    info = image.slide.info
    _write_json(folder / f"{item.key}.json", routes.facts(item, image))
    (folder / f"{item.key}.dzi").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" '
        f'Format="jpg" Overlap="0" TileSize="{TILE}">'
        f'<Size Width="{info.width}" Height="{info.height}"/></Image>\n'
    )
    for what in ("thumb.jpg", "tissue.png", "heat.png"):
        try:
            (folder / f"{item.key}.{what}").write_bytes(routes.picture(item, image, what))
        except KeyError:
            continue  # there is none of this image
    tiles = folder / f"{item.key}_files"

    def write(level: int, column: int, row: int) -> None:
        path = tiles / str(level) / f"{column}_{row}.jpg"
        if path.exists():
            return
        rgb = in_colour(image.tiles.tile(level, column, row), image.looks)
        whole = path.with_suffix(".new")  # a tile that was cut off has another name
        whole.write_bytes(encoded(rgb, "jpg"))
        whole.replace(path)

    with Workers(WORKERS, "uhrt-export") as workers:
        pending: list[Future[None]] = []
        for level, column, row in _places(image):
            if (column, row) == (0, 0):
                (tiles / str(level)).mkdir(parents=True, exist_ok=True)
            if len(pending) >= WORKERS * IN_FLIGHT:
                result_of(pending.pop(0))
            pending.append(workers.submit(write, level, column, row))
        for future in pending:
            result_of(future)


def _places(image: OpenImage) -> Iterator[tuple[int, int, int]]:
    """Level, column and row of every tile; of the largest level first."""
    for level in range(image.tiles.last, min(WHOLE, image.tiles.last) - 1, -1):
        columns, rows = image.tiles.shape(level)
        for row in range(rows):
            for column in range(columns):
                yield level, column, row


def _count(image: OpenImage) -> int:
    shapes = [
        image.tiles.shape(level)
        for level in range(min(WHOLE, image.tiles.last), image.tiles.last + 1)
    ]
    return sum(columns * rows for columns, rows in shapes)


def _with_policy(page: bytes) -> bytes:
    """The page with its content security policy inside, as other servers do not send it."""
    policy = POLICY.replace("; frame-ancestors 'none'", "")  # means nothing inside a page
    head = b'<meta charset="utf-8">\n'
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    if head not in page:
        raise ValueError("the page has no charset line")
    return page.replace(head, head + meta.encode(), 1)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, allow_nan=False))
