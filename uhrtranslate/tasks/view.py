"""Show images side by side in a browser."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from uhrtranslate.errors import InputError, OptionError, UhrError
from uhrtranslate.io import stated_by
from uhrtranslate.io.readers.block_cache import cap_caches
from uhrtranslate.options import InfoOptions
from uhrtranslate.viewer.export import Told, export
from uhrtranslate.viewer.marks import Documents
from uhrtranslate.viewer.routes import Routes
from uhrtranslate.viewer.server import ViewServer
from uhrtranslate.viewer.shelf import REPORTS, Shelf, is_document

if TYPE_CHECKING:
    from uhrtranslate.registration import Transform

# Of decoded pixels that each open slide keeps: a page asks for each tile once.
CACHE_BYTES = 16 << 20
# Folders in which reports are looked for.
MOST_FOLDERS = 1000


def routes(
    places: Sequence[str],
    transforms: Sequence[Path] = (),
    options: InfoOptions | None = None,
    told: Told = lambda sentence: None,
) -> Routes:
    """What a page about images can ask for.

    Args:
        places: images, folders, URLs, patterns; and JSON files: reports of `uhrt evaluate` and
            `uhrt compare`, GeoJSON annotations (in px of the first image), transforms. Reports
            that lie beside images of a folder that is named are read, too.
        transforms: more files of transforms, of moving slides to one fixed slide.
        options: what is stated of the images.
        told: called with a sentence about each report in a folder that cannot be used.

    Raises:
        InputError: there are no images; one that was named is missing; a JSON file is none of
            these.
        OptionError: the transforms have different fixed slides.
    """
    cap_caches(CACHE_BYTES)
    documents = Documents()
    shelf = Shelf(places, stated_by(options or InfoOptions()))
    if not shelf.items():
        raise InputError("there are no images to view; name one, or a folder of them.")
    for path in _reports(shelf):
        try:
            documents.read(path)
        except InputError as error:  # of somebody else, perhaps: nobody has named it
            told(f"{error} It is left out.")
    for place in places:
        if is_document(place):
            documents.read(Path(place))
    for path in transforms:
        before = len(documents.transforms)
        documents.read(path)
        if len(documents.transforms) == before:
            raise InputError(f"{path}: is no transform; make one with uhrt register.")
    found = Routes(shelf, documents, _transforms(documents))
    _check_opens(shelf)
    return found


def open_server(found: Routes, port: int = 0) -> ViewServer:
    """A server of a page that runs when `serve_forever` is called.

    Args:
        found: what it serves.
        port: 0 for a free one.

    Raises:
        OptionError: the port is taken.
    """
    return ViewServer(found, port)


def export_page(found: Routes, folder: Path, told: Told = lambda sentence: None) -> Path:
    """Write the page with all tiles; see `viewer.export.export`."""
    return export(found, folder, told)


def _reports(shelf: Shelf) -> list[Path]:
    """Reports in folders that were named, and in those below where images are."""
    beside = [one.source.parent for one in shelf.items() if isinstance(one.source, Path)]
    folders = dict.fromkeys([*shelf.folders, *beside] if shelf.folders else ())
    found = (folder / name for folder in list(folders)[:MOST_FOLDERS] for name in REPORTS)
    return [path for path in found if path.is_file()]


def _check_opens(shelf: Shelf) -> None:
    """Say what is wrong with images that were named before a page shows them empty."""
    wrong: UhrError | None = None
    for item in shelf.items()[:6]:
        if item.folder:
            return
        try:
            with shelf.opened(item.key):
                return  # one is enough to begin; the page tells of others
        except UhrError as error:
            wrong = wrong or error
    if wrong is not None:
        raise wrong


def _transforms(documents: Documents) -> "tuple[Transform, ...]":
    if not documents.transforms:
        return ()
    from uhrtranslate.registration import load_transform

    found = tuple(load_transform(document, name) for document, name in documents.transforms)
    sizes = {(one.fixed.width, one.fixed.height) for one in found}
    if len(sizes) > 1:
        raise OptionError(
            "--transform: the transforms have different fixed slides; name only those of one."
        )
    return found
