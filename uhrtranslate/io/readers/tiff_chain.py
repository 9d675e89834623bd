"""The chain of a TIFF's directories, walked before any library does, which may walk for ever."""

import struct
from pathlib import Path

from uhrtranslate.errors import InputError

# Slides with all their levels and channels have some hundreds; tifffile takes seconds for more, as
# it compares sizes with each other.
MOST = 2_000


def check_chain(path: Path) -> None:
    """Refuse a TIFF whose directories form a circle, or are too many.

    Files that are no TIFF, or whose chain leads out of the file, are left to the readers.

    Raises:
        InputError: it is such a file.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 16:
            return
        (version,) = struct.unpack_from(order + "H", head, 2)
        if version not in (42, 43):
            return
        big = version == 43
        # NDPI is a classic TIFF, but for pointers to directories of 64 bits.
        long = big or path.suffix.lower() == ".ndpi"
        count, pointer = order + ("Q" if big else "H"), order + ("Q" if long else "I")
        size = 20 if big else 12
        (place,) = struct.unpack_from(pointer, head, 8 if big else 4)
        seen: set[int] = set()
        while place:
            if place in seen:
                raise InputError(f"{path}: is damaged: its pages lead in a circle; copy it again.")
            if len(seen) == MOST:
                raise InputError(
                    f"{path}: has more than {MOST:,} pages; convert it to a pyramidal TIFF."
                )
            seen.add(place)
            try:
                file.seek(place)
                (entries,) = struct.unpack(count, file.read(struct.calcsize(count)))
                file.seek(place + struct.calcsize(count) + size * entries)
                (place,) = struct.unpack(pointer, file.read(struct.calcsize(pointer)))
            except (struct.error, OverflowError, ValueError, OSError):
                return
