"""Which images a user means: files, folders, patterns, and lists on stdin."""

import configparser
import glob
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from uhrtranslate.errors import InputError
from uhrtranslate.io.files.remote import is_url, name_of, shown_url

Saved = TypeVar("Saved")
# Where an image is: its path, or its URL as text.
Source = Path | str

SLIDE_ENDINGS = (".bif", ".dcm", ".mrxs", ".ndpi", ".scn", ".svs", ".svslide", ".vms", ".vmu")
TIFF_ENDINGS = (".btf", ".gtiff", ".tf2", ".tf8", ".tif", ".tiff")
PHOTO_ENDINGS = (
    ".avif", ".bmp", ".gif", ".j2k", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm",
    ".ppm", ".tga", ".webp",
)  # fmt: skip
ENDINGS = frozenset((*SLIDE_ENDINGS, *TIFF_ENDINGS, *PHOTO_ENDINGS))
# What an earlier run has saved for later ones.
SAVED_ENDING = ".json"
# Part of the name of unfinished outputs.
PARTIAL = ".uhrt-partial"
# Ending of pictures that show a result beside its source; they are never inputs.
PREVIEW = ".preview.png"
# Results are named NAME.SUFFIX plus one of these.
RESULT_ENDINGS = ("tif", "ome.tif", "svs", "png", "jpg", "jpeg", "webp")
# The series is named within this many first bytes of a DICOM file.
DICOM_HEAD = 1 << 16


@dataclass(frozen=True)
class Found:
    """An input.

    Attributes:
        path: the file; of a URL, the name of the file that it stands for.
        root: the folder below which it was found; outputs keep the folders in between.
        url: where it is, if on another machine.
    """

    path: Path
    root: Path
    url: str | None = None

    @classmethod
    def at(cls, source: Source) -> "Found":
        """A single input, which may not exist.

        Raises:
            InputError: a URL names no file.
        """
        if isinstance(source, str) and is_url(source):
            return cls(Path(name_of(source)), Path(), source)
        path = Path(source)
        return cls(path, path.parent)

    @property
    def source(self) -> Source:
        """What `open_slide` takes."""
        return self.path if self.url is None else self.url

    def local(self) -> Path:
        """The path, for tasks that only read files of this machine.

        Raises:
            InputError: it is a URL.
        """
        if self.url is not None:
            raise InputError(f"{self.name}: is not read over the network here; download it first.")
        return self.path

    @property
    def name(self) -> str:
        """The input as text; of a URL, without what may be secret."""
        return str(self.path) if self.url is None else shown_url(self.url)


@dataclass(frozen=True)
class Missing:
    """Something that the user named but that is not an input.

    Attributes:
        item: as the user gave it.
        error: what is wrong with it.
    """

    item: str
    error: InputError


def expand_inputs(
    items: Iterable[str], stdin: Iterable[str] | None = None, results: Collection[str] = ()
) -> list[Found | Missing]:
    """Find the images that items stand for.

    An item is a file, a URL, a folder, a pattern such as `slides/*.svs` (`**` is any number of
    folders), or `-` for a list on stdin. Folders and their subfolders are searched for known
    endings; files in them that are hidden, unfinished, part of another slide, or results are left
    out.

    Args:
        items: as on a command line.
        stdin: lines, one item each; read only if `-` is among the items. If it is None, there is
            no list, and `-` is the name of a file.
        results: suffixes of results, such as `dn` in `slide.dn.tif`.

    Returns:
        Each file once, in the order of the items; the files of a folder or pattern are sorted by
        path. An item that is missing or has no images gets a `Missing` in its place.
    """
    expanded: list[Found | Missing] = []
    seen: set[Path | str] = set()
    for item in _with_stdin(items, stdin):
        try:
            found = _expand(item, results)
        except InputError as error:
            expanded.append(Missing(item, error))
            continue
        for one in found:
            if isinstance(one, Found):
                identity = one.url or one.path.resolve()
                if identity in seen:
                    continue
                seen.add(identity)
            expanded.append(one)
    return expanded


def remote_input(url: str) -> Found | Missing:
    """The input that a URL stands for."""
    try:
        return Found.at(url)
    except InputError as error:
        return Missing(shown_url(url), error)


def find_images(place: str | Path, results: Collection[str] = ()) -> list[Path]:
    """Paths of the images that a file, folder or pattern stands for; see `expand_inputs`.

    Raises:
        InputError: there are none, one is missing, or it is a URL.
    """
    return [found.local() for found in _found(place, results)]


def find_sources(place: Source, results: Collection[str] = ()) -> list[Source]:
    """As `find_images`, but a URL stands for itself."""
    return [found.source for found in _found(place, results)]


def as_source(value: object) -> object:
    """Turn text that is no URL into a path, for options that name images."""
    return Path(value) if isinstance(value, str) and not is_url(value) else value


def shown(source: Source) -> str:
    """A path or URL as text, without what may be secret."""
    return shown_url(source) if isinstance(source, str) and is_url(source) else str(source)


def _found(place: Source, results: Collection[str]) -> Iterator[Found]:
    for item in expand_inputs([str(place)], results=results):
        if isinstance(item, Missing):
            raise item.error
        yield item


def is_saved(source: str) -> bool:
    """Whether a name or URL is that of what `read_saved` reads, and not of an image."""
    return (urlsplit(source).path if is_url(source) else source).endswith(SAVED_ENDING)


def read_saved(source: Source, load: Callable[[Any], Saved], option: str) -> Saved:
    """What an option of an earlier run has saved as JSON; `load` takes what was in the file.

    Raises:
        InputError: the file cannot be read, is not JSON, or `load` refuses it; or it is a URL.
    """
    if is_url(source):
        raise InputError(
            f"{shown(source)}: what {option} saved is read from this machine, and only images from "
            "others; download it first."
        )
    path = Path(source)
    try:
        return load(json.loads(path.read_bytes()))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise InputError(f"{path}: is not JSON; make it again with {option}.") from error
    except InputError as error:
        raise InputError(f"{path}: {error}.") from error


def _with_stdin(items: Iterable[str], stdin: Iterable[str] | None) -> Iterator[str]:
    for item in items:
        if item == "-" and stdin is not None:
            lines = (line.rstrip("\r\n") for line in stdin)
            yield from (line for line in lines if line.strip())
        else:
            yield item


def _expand(item: str, results: Collection[str]) -> Sequence[Found | Missing]:
    if not item.strip():  # would mean the current folder
        raise InputError("'': is no path; name a file or folder.")
    if is_url(item):
        return [remote_input(item)]
    try:
        path = Path(item).expanduser()
        if path.is_dir() and path.suffix.lower() != ".zarr":
            return _in_folder(path, results)
        if path.exists():
            return [Found(path, path.parent)]
        if glob.has_magic(item):
            return _matching(str(path), results)
    except (OSError, RuntimeError, ValueError) as error:  # unreadable, unknown ~user, NUL
        raise InputError(f"{item}: cannot be read ({error}).") from error
    raise InputError(f"{item}: does not exist; check the path.")


def _in_folder(folder: Path, results: Collection[str]) -> list[Found | Missing]:
    paths = []
    unreadable: list[OSError] = []
    for where, folders, names in os.walk(folder, onerror=unreadable.append):
        slides = {Path(name).stem for name in names if name.lower().endswith(".mrxs")}
        folders[:] = [
            name
            for name in folders
            if name not in slides and name[0] != "." and not name.endswith((PARTIAL, ".zarr"))
        ]
        paths += [Path(where, name) for name in names if _is_image(name, results)]
    found: list[Found | Missing] = [Found(path, folder) for path in _without_parts(paths)]
    for error in unreadable:
        sentence = f"{error.filename}: cannot be read ({error.strerror})."
        found.append(Missing(str(error.filename), InputError(sentence)))
    if not found:
        raise InputError(f"{folder}: has no images; name the folder that holds them.")
    return found


def _matching(pattern: str, results: Collection[str]) -> list[Found]:
    matches = [Path(match) for match in glob.glob(pattern, recursive=True)]
    fixed = []
    for part in Path(pattern).parts:
        if glob.has_magic(part):
            break
        fixed.append(part)
    images = [path for path in matches if path.is_file() and _is_image(path.name, results)]
    found = _without_parts(images)
    if not found:
        raise InputError(f"{pattern}: matches no images; check the pattern.")
    return [Found(path, Path(*fixed)) for path in found]


def result_stem(name: str, suffixes: Collection[str]) -> str:
    """A file's name without its ending, and without what results add to the names of inputs.

    Example:
        >>> result_stem("slide.dn.ome.tif", ["dn"]), result_stem("slide.svs", ["dn"])
        ('slide', 'slide')
    """
    added = _added(name, suffixes) or (".ome.tif" if name.endswith(".ome.tif") else "")
    return name.removesuffix(added) if added else Path(name).stem


def _added(name: str, suffixes: Collection[str]) -> str:
    """What a result's name adds to its input's; empty if the name is not that of a result."""
    endings = (f".{suffix}.{ending}" for suffix in suffixes for ending in RESULT_ENDINGS)
    return next((ending for ending in endings if name.endswith(ending)), "")


def _is_image(name: str, results: Collection[str]) -> bool:
    hidden = name[0] == "." or PARTIAL in name or name.endswith(PREVIEW)
    return not hidden and not _added(name, results) and Path(name).suffix.lower() in ENDINGS


def _without_parts(paths: list[Path]) -> list[Path]:
    """The paths in order, without files that belong to another slide of the list."""
    parts = {part for path in paths for part in _parts(path)}
    kept = []
    series = set()
    for path in sorted(paths, key=lambda path: path.parts):
        if path in parts:
            continue
        if path.suffix.lower() == ".dcm":
            name = _dicom_series(path)
            if name and (path.parent, name) in series:
                continue
            series.add((path.parent, name))
        kept.append(path)
    return kept


def _parts(path: Path) -> set[Path]:
    """The pictures that the index of a Hamamatsu VMS or VMU slide lists as its parts."""
    if path.suffix.lower() not in (".vms", ".vmu"):
        return set()
    index = configparser.RawConfigParser(strict=False)
    try:
        index.read_string(path.read_text(encoding="latin-1"))
    except (OSError, configparser.Error):
        return set()
    return {path.parent / value for section in index.values() for value in section.values()}


def _dicom_series(path: Path) -> bytes:
    """A DICOM file's series (0020,000E), which all levels of a slide share; empty if unknown."""
    with path.open("rb") as file:
        head = file.read(DICOM_HEAD)
    _, tag, rest = head.partition(b"\x20\x00\x0e\x00UI")
    if not tag or len(rest) < 2:
        return b""
    return rest[2 : 2 + int.from_bytes(rest[:2], "little")]
