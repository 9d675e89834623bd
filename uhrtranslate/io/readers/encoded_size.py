"""The size that an encoded tile claims to have, for which codecs take memory before they decode.

A 64 px tile of a few kilobytes may hold a picture that claims 65,500 px and would take 12 GB.
"""

import struct

# TIFF compressions whose tiles are complete picture files.
JPEGS = (7, 33007, 34892)
JPEG_2000S = (33003, 33004, 33005, 34712)
WEBP, JPEG_XLS = 50001, (50002, 52546)
PICTURES = (*JPEGS, *JPEG_2000S, WEBP, *JPEG_XLS)
# Frame headers of JPEG: SOF0 to SOF15 without DHT (C4), JPG (C8) and DAC (CC).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# A JPEG 2000 picture may itself have tiles and components, each of which takes memory.
_JPEG_2000_TILES = 4096
_JPEG_2000_COMPONENTS = 8


def encoded_size(compression: int, data: bytes) -> tuple[int, int]:
    """Width and height in px that a picture's header states.

    Args:
        compression: the TIFF's code, one of `PICTURES`.
        data: the tile as it is in the file.

    Raises:
        ValueError: there is no such header, or only a damaged file could have it.
    """
    try:
        if compression in JPEGS:
            return _jpeg(data)
        if compression in JPEG_2000S:
            return _jpeg_2000(data)
        if compression == WEBP:
            return _webp(data)
        return _jpeg_xl(data)
    except (struct.error, IndexError):
        raise ValueError("a tile has no header") from None


def _jpeg(data: bytes) -> tuple[int, int]:
    place = 2
    while True:
        if data[place] != 0xFF:
            raise ValueError("a tile is no JPEG")
        marker = data[place + 1]
        if marker == 0xFF:  # padding
            place += 1
        elif marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, place + 5)
            return width, height
        elif 0xD0 <= marker <= 0xD8 or marker == 0x01:  # these stand alone
            place += 2
        else:
            place += 2 + max(int(struct.unpack_from(">H", data, place + 2)[0]), 2)


def _jpeg_2000(data: bytes) -> tuple[int, int]:
    # The code stream may lie in boxes, so everything that looks like its beginning is checked.
    place, found = data.find(b"\xff\x4f\xff\x51"), (0, 0)
    while place >= 0:
        right, bottom, left, top, tile_width, tile_height = struct.unpack_from(
            ">6I", data, place + 8
        )
        (components,) = struct.unpack_from(">H", data, place + 40)
        width, height = right - left, bottom - top
        tiles = -(-right // max(tile_width, 1)) * -(-bottom // max(tile_height, 1))
        if tiles > _JPEG_2000_TILES or components > _JPEG_2000_COMPONENTS:
            raise ValueError(f"a tile itself has {tiles} tiles and {components} components")
        found = max(found, (width, height), key=lambda size: size[0] * size[1])
        place = data.find(b"\xff\x4f\xff\x51", place + 4)
    if found == (0, 0):
        raise ValueError("a tile is no JPEG 2000")
    return found


def _webp(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _jpeg_xl(data: bytes) -> tuple[int, int]:
    if data[:2] != b"\xff\x0a":  # in boxes: jxlc, or the first jxlp, holds the beginning
        places = [data.find(name) + skip for name, skip in ((b"jxlc", 4), (b"jxlp", 8))]
        data = next((data[p:] for p in places if p > 8 and data[p : p + 2] == b"\xff\x0a"), b"")
    if not data:
        raise ValueError("a tile is no JPEG XL")
    # ISO/IEC 18181-1, SizeHeader: a stream of bits, the lowest of each byte first.
    bits, place = int.from_bytes(data[2:16], "little"), 0

    def take(count: int) -> int:
        nonlocal place
        place += count
        return bits >> (place - count) & ((1 << count) - 1)

    eighths = take(1)

    def side() -> int:
        if eighths:
            return 8 * (take(5) + 1)
        return 1 + take((9, 13, 18, 30)[take(2)])

    height = side()
    ratio = take(3)
    if ratio == 0:
        return side(), height
    across, down = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
    return height * across // down, height
