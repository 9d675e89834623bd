"""Small slides in the layouts of two vendors, which OpenSlide takes for theirs."""

import io
import struct

import tifffile
from PIL import Image

APERIO = "Aperio Image Library v12\r\n161x129 |AppMag = 40|MPP = 0.2520|Date = 01/02/26"


def write_svs(path, pixels, compression="jpeg"):
    """As Aperio writes them: level 0, thumbnail in strips, level 1, label, macro image."""
    tiled = {"tile": (64, 64), "compression": compression}
    strips = {"rowsperstrip": 16, "compression": "jpeg"}
    head = "Aperio Image Library v12"
    pages = (
        (pixels, APERIO, tiled),
        (pixels[::4, ::4], f"{head} \n161x129 -> 41x33 - |AppMag = 40", strips),
        (pixels[::2, ::2], APERIO, tiled),
        (
            pixels[:48, :48],
            f"{head} \nlabel 48x48",
            strips | {"compression": "lzw", "subfiletype": 1},
        ),
        (pixels[:64, :96], f"{head} \nmacro 96x64", strips | {"subfiletype": 9}),
    )
    with tifffile.TiffWriter(path) as writer:
        for image, text, how in pages:
            writer.write(image.copy(), photometric="rgb", metadata=None, description=text, **how)


def write_ndpi(path, pixels):
    """As Hamamatsu writes them: two levels and a macro image, each one JPEG with restart markers.

    OpenSlide makes a tile of each interval between them, here a row of blocks of 8 px.
    """
    pixels = pixels[:128, :160]
    out = bytearray(struct.pack("<2sHQ", b"II", 42, 0))
    link = 4
    for image, lens in ((pixels, 40.0), (pixels[::2, ::2], 20.0), (pixels[:64, :96], -1.0)):
        jpeg = _jpeg(image)
        start = len(out)
        out += jpeg + bytes(len(jpeg) % 2)
        # Where each restart interval begins, which OpenSlide checks against the markers.
        starts = [
            n + 2 for n in range(len(jpeg) - 1) if jpeg[n] == 255 and 208 <= jpeg[n + 1] < 216
        ]
        scan = jpeg.index(b"\xff\xda")
        first = scan + 2 + int.from_bytes(jpeg[scan + 2 : scan + 4], "big")
        starts = [first, *starts]
        table = len(out)
        out += struct.pack(f"<{len(starts)}I", *starts)
        words = len(out)
        out += b"Hamamatsu\0NanoZoomer\0"
        ratio = len(out)
        out += struct.pack("<4I", 40_000, 1, 40_000, 1)
        height, width = image.shape[:2]
        entries = [
            (256, 4, 1, width), (257, 4, 1, height), (259, 3, 1, 7), (262, 3, 1, 6),
            (271, 2, 10, words), (272, 2, 11, words + 10), (273, 4, 1, start), (277, 3, 1, 3),
            (278, 4, 1, height), (279, 4, 1, len(jpeg)), (282, 5, 1, ratio), (283, 5, 1, ratio + 8),
            (296, 3, 1, 3), (65420, 4, 1, 1),
            (65421, 11, 1, struct.unpack("<I", struct.pack("<f", lens))[0]),
            (65424, 9, 1, 0), (65426, 4, len(starts), table),
        ]  # fmt: skip
        struct.pack_into("<Q", out, link, len(out))
        out += struct.pack("<H", len(entries))
        for entry in entries:
            out += struct.pack("<HHII", *entry)
        link = len(out)
        out += bytes(8 + 4 * len(entries))  # the next directory, and the values' upper halves
    path.write_bytes(out)


def _jpeg(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels.copy()).save(
        buffer, "JPEG", quality=80, subsampling=0, restart_marker_rows=1
    )
    return buffer.getvalue()
