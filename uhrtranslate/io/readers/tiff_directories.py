"""A TIFF's directories, checked before a library reads them.

Libraries follow a circle of directories for ever. OpenSlide takes as much memory as a damaged size
asks for, and aborts if there is too little. So every directory is read here first, including those
below others: each tile and strip must lie in the file, and there must be as many of them as the
image's size requires.
"""

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.errors import InputError
from uhrtranslate.io.files.remote import RemoteFile
from uhrtranslate.io.slide import NotForThisReaderError

# Slides with all their levels and channels have some hundreds. For more, tifffile takes seconds
# because it compares all sizes with each other.
MOST = 2_000
# Directories below others, such as the levels of each page of an OME-TIFF.
MOST_BELOW = 10 * MOST
# Tiles of one image; at 256 px they fill a square with sides of a million px.
MOST_TILES = 1 << 24
# Scanners leave out tiles without tissue, and a biopsy fills little of a slide. But if the share of
# tiles present is below this, the size of the image is more likely to be wrong.
LEAST_FILLED = 1 / 50
# Tags of a directory; libtiff and tifffile refuse to read more.
MOST_TAGS = 4096
_SLACK = 1 << 22

_WIDTH, _LENGTH, _BITS, _COMPRESSION = 256, 257, 258, 259
_SAMPLES, _STRIP_ROWS, _PLANAR = 277, 278, 284
_STRIPS, _TILES = (273, 279), (324, 325)  # tags of offsets and of byte counts
_TILE_WIDTH, _TILE_LENGTH, _SUBIFDS, _DEPTH = 322, 323, 330, 32997
_UNCOMPRESSED, _OLD_JPEG = 1, 6
_INTEGERS = {
    1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8",
}  # fmt: skip


def check_header(path: Path | RemoteFile) -> None:
    """Refuse files that are not TIFFs, or that end before their first directory.

    Raises:
        NotForThisReaderError: it is not a TIFF.
        InputError: it is cut off.
    """
    with path.open("rb") as file:
        head = file.read(16)
        size = file.seek(0, os.SEEK_END)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        raise NotForThisReaderError("not a TIFF")
    (version,) = struct.unpack(order + "H", head[2:4])
    if version == 43 and len(head) == 16:
        (first,) = struct.unpack(order + "Q", head[8:16])
    elif version == 42:
        (first,) = struct.unpack(order + "I", head[4:8])
    else:
        raise NotForThisReaderError("not a TIFF")
    if first >= size:
        raise cut_off(path, size, first)


def check_directories(path: Path | RemoteFile, sparse: bool = False) -> None:
    """Refuse a TIFF that would lead a library astray.

    Files that are not TIFFs, or whose chain of directories leads out of the file, are left to the
    readers, which refuse them.

    Args:
        path: the file.
        sparse: allow images whose tiles are nearly all missing.

    Raises:
        InputError: the directories form a circle or there are too many; or tiles lie beyond the end
            of the file, are fewer than the image needs, or are nearly all missing.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        tiff = _Tiff.open(file, path)
        if tiff is None:
            return
        below: list[int] = []
        seen: set[int] = set()
        for place, directory in tiff.chain(tiff.first):
            if place in seen:
                raise tiff.damaged("its pages lead in a circle")
            if len(seen) == MOST:
                raise tiff.too_many()
            seen.add(place)
            below += tiff.check(directory, sparse)
        while below:
            for place, directory in tiff.chain(below.pop()):
                if place in seen:
                    break
                if len(seen) == MOST + MOST_BELOW:
                    raise tiff.too_many()
                seen.add(place)
                below += tiff.check(directory, sparse)


@dataclass
class _Tiff:
    """An open TIFF file.

    Attributes:
        size: of the file in bytes.
        order: "<" or ">".
        ndpi: whether this is a classic TIFF with 64-bit pointers to directories.
        first: position of the first directory.
        taken: bytes that have been read so far.
    """

    file: BinaryIO
    path: Path | RemoteFile
    size: int
    order: str
    big: bool
    ndpi: bool
    first: int
    taken: int = 0

    @classmethod
    def open(cls, file: BinaryIO, path: Path | RemoteFile) -> "_Tiff | None":
        """Read the header; None if the file is not a TIFF."""
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 16:
            return None
        (version,) = struct.unpack_from(order + "H", head, 2)
        if version not in (42, 43):
            return None
        big = version == 43
        ndpi = not big and path.suffix.lower() == ".ndpi"
        (first,) = struct.unpack_from(order + ("Q" if big or ndpi else "I"), head, 8 if big else 4)
        return cls(file, path, file.seek(0, 2), order, big, ndpi, first)

    def chain(self, place: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """The directories from a position on, with theirs, until one lies outside the file."""
        count = "Q" if self.big else "H"
        pointer = "Q" if self.big or self.ndpi else "I"
        value = "V8" if self.big else "V4"
        entry = np.dtype(
            [("code", self.order + "u2"), ("kind", self.order + "u2"),
             ("count", self.order + ("u8" if self.big else "u4")), ("value", value)]
        )  # fmt: skip
        while place:
            try:
                (entries,) = struct.unpack(
                    self.order + count, self.read(place, 8 if self.big else 2)
                )
                if entries > MOST_TAGS:
                    return
                start = place + (8 if self.big else 2)
                directory = np.frombuffer(self.read(start, entries * entry.itemsize), entry)
                end = start + directory.nbytes
                (following,) = struct.unpack(
                    self.order + pointer, self.read(end, struct.calcsize(pointer))
                )
            except (struct.error, EOFError):
                return
            yield place, directory
            place = following

    def read(self, place: int, size: int) -> bytes:
        """Read bytes of the file.

        Raises:
            EOFError: the file ends before them.
            InputError: so much was read that directories or tables must overlap, by which a small
                file could keep us busy for hours.
        """
        if place + size > self.size:
            raise EOFError
        self.taken += size
        if self.taken > 2 * self.size + _SLACK:
            raise self.damaged("its directories lie over each other")
        self.file.seek(place)
        return self.file.read(size)

    def check(self, directory: NDArray[Any], sparse: bool) -> list[int]:
        """Check one image's tables of tiles or strips; return where the directories below lie."""
        entries = {int(entry["code"]): entry for entry in reversed(directory)}
        # In NDPI files of 4 GB or more, the upper halves of offsets are stored elsewhere, or lost.
        if not (self.ndpi and self.size >= 1 << 32):
            for tables in (_STRIPS, _TILES):
                if tables[0] in entries:
                    self._check_tables(entries, tables, sparse)
        if _SUBIFDS not in entries:
            return []
        return [int(place) for place in self.numbers(entries[_SUBIFDS], MOST_BELOW)]

    def _check_tables(self, entries: dict[int, Any], tables: tuple[int, int], sparse: bool) -> None:
        tiled, compression = _TILE_WIDTH in entries, self.number(entries, _COMPRESSION, 1)
        needed = self._needed(entries)
        if needed > MOST_TILES:
            raise self.damaged(f"says that it has an image of {needed:,} tiles")
        offsets = self.numbers(entries[tables[0]], needed or MOST_TILES)
        counts = np.zeros_like(offsets)
        # Uncompressed rows can be found without the sizes of strips, which some writers get wrong.
        if tables[1] in entries and (tiled or compression != _UNCOMPRESSED):
            counts = self.numbers(entries[tables[1]], needed or MOST_TILES)
            have = min(len(offsets), len(counts))
            if have < needed:
                raise self.damaged(f"lists {have:,} of the {needed:,} tiles that its size needs")
            offsets, counts = offsets[:have], counts[:have]
            filled = int(((counts > 0) & (offsets > 0)).sum())
            if not sparse and filled < LEAST_FILLED * needed:
                raise InputError(
                    f"{self.path}: has bytes for {filled:,} of the {needed:,} tiles of an image; "
                    "copy it again, or use --allow-sparse if it is meant to be that empty."
                )
        beyond = (offsets > self.size) | (counts > self.size - offsets)
        if tiled:
            beyond &= counts > 0  # the offset of a missing tile means nothing
            largest = self._largest(entries)
            if int(counts.max(initial=0)) > largest and not beyond.any():
                raise self.damaged(f"a tile takes more than {largest / 1e6:,.1f} MB in it")
        if beyond.any():
            index = int(beyond.argmax())
            raise cut_off(self.path, self.size, int(offsets[index]) + int(counts[index]))

    def _needed(self, entries: dict[int, Any]) -> int:
        """Number of tiles or strips that an image's size requires; 0 if it cannot be told."""
        width, length = (self.number(entries, code, 0) for code in (_WIDTH, _LENGTH))
        if _TILE_WIDTH in entries:
            across, down = (self.number(entries, code, 0) for code in (_TILE_WIDTH, _TILE_LENGTH))
        else:
            across, down = width, self.number(entries, _STRIP_ROWS, length)
        odd = self.number(entries, _COMPRESSION, 1) == _OLD_JPEG
        odd |= self.number(entries, _DEPTH, 1) != 1
        if odd or min(width, length, across, down) < 1:  # signed, or none
            return 0
        planes = self.number(entries, _SAMPLES, 1) if self.number(entries, _PLANAR, 1) == 2 else 1
        return -(-width // across) * -(-length // down) * planes

    def _largest(self, entries: dict[int, Any]) -> int:
        """More bytes than any tile needs, however badly it is compressed."""
        tags = (_TILE_WIDTH, _TILE_LENGTH, _SAMPLES, _BITS)
        return 2 * math.prod(self.number(entries, tag, 1) for tag in tags) // 8 + _SLACK

    def number(self, entries: dict[int, Any], code: int, default: int) -> int:
        """The first value of a tag."""
        if code not in entries:
            return default
        values = self.numbers(entries[code], 1)
        return int(values[0]) if len(values) else default

    def numbers(self, entry: Any, most: int) -> NDArray[Any]:
        """The first `most` values of an integer tag, as uint64; negative ones become huge.

        Raises:
            InputError: they lie beyond the end of the file.
        """
        kind = _INTEGERS.get(int(entry["kind"]))
        if kind is None:
            return np.zeros(0, np.uint64)
        dtype = np.dtype(self.order + kind)
        count, room = int(entry["count"]), entry["value"].dtype.itemsize
        data = entry["value"].tobytes()
        if count * dtype.itemsize > room:
            (place,) = np.frombuffer(data, self.order + f"u{room}")
            end = int(place) + count * dtype.itemsize
            if end > self.size:
                raise cut_off(self.path, self.size, end)
            data = self.read(int(place), min(count, most) * dtype.itemsize)
        return np.frombuffer(data, dtype, min(count, most)).astype(np.int64).astype(np.uint64)

    def damaged(self, reason: str) -> InputError:
        """The error for a file that no writer can have made like this."""
        return InputError(f"{self.path}: is damaged: {reason}; copy it again.")

    def too_many(self) -> InputError:
        """The error for more directories than any slide has."""
        return InputError(
            f"{self.path}: has more than {MOST:,} pages; convert it to a pyramidal TIFF."
        )


def cut_off(path: Path | RemoteFile, size: int, needed: int) -> InputError:
    """The error for a file with fewer bytes than its parts need."""
    return InputError(
        f"{path}: the file ends after {size / 1e6:,.1f} of at least {needed / 1e6:,.1f} MB; "
        f"copy it again."
    )
