"""Files of a few kilobytes that claim, or unpack to, far more than memory holds."""

import io
import struct
import zlib

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

SMALL = np.random.default_rng(3).integers(0, 255, (64, 64, 3), np.uint8)
HUGE = 65_500


def encoded(kind, image=None, **options):
    buffer = io.BytesIO()
    (image or Image.fromarray(SMALL)).save(buffer, kind, **options)
    return bytearray(buffer.getvalue())


def jpeg(width=HUGE, height=HUGE):
    """A JPEG file whose frame header lies about its size."""
    data = encoded("JPEG")
    place = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, place + 5, height, width)
    return bytes(data)


def progressive_jpeg():
    data = encoded("JPEG", progressive=True)
    struct.pack_into(">HH", data, data.index(b"\xff\xc2") + 5, HUGE, HUGE)
    return bytes(data)


def png(width=HUGE, height=HUGE, content=b""):
    """Grey; content is that of IDAT, unpacked."""

    def chunk(name, body):
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(content, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def webp():
    """Lossless, 16383 px on each side by its header."""
    data = encoded("WEBP", lossless=True)
    place = data.index(b"VP8L") + 9
    (bits,) = struct.unpack_from("<I", data, place)
    struct.pack_into("<I", data, place, bits & 0xF0000000 | 16382 << 14 | 16382)
    return bytes(data)


def lossy_webp():
    data = encoded("WEBP")
    struct.pack_into("<HH", data, data.index(b"\x9d\x01\x2a") + 3, 16383, 16383)
    return bytes(data)


def gif():
    data = encoded("GIF")
    struct.pack_into("<HH", data, 6, 65535, 65535)
    struct.pack_into("<HH", data, data.index(b"\x2c\0\0\0\0\x40\0\x40\0") + 5, 65535, 65535)
    return bytes(data)


def bmp():
    data = encoded("BMP")
    struct.pack_into("<ii", data, 18, 100_000, 100_000)
    return bytes(data)


def jp2(side=200_000):
    data = encoded("JPEG2000", irreversible=True)
    if (header := data.find(b"ihdr")) >= 0:
        struct.pack_into(">II", data, header + 4, side, side)
    place = data.index(b"\xff\x51")
    struct.pack_into(">II", data, place + 6, side, side)
    struct.pack_into(">II", data, place + 22, side, side)
    return bytes(data)


def jpegxl():
    """A flat image of 2^30 pixels by its header, which is bits from the lowest on."""
    data = bytearray(imagecodecs.jpegxl_encode(SMALL))
    place = data.index(b"\xff\x0a") + 2
    bits = int.from_bytes(data[place : place + 8], "little")
    assert bits & 1, "64 px are told in eighths"
    # Not in eighths, a height of 18 bits, a width that equals it.
    rest = bits >> 9
    value = 0 | 2 << 1 | (200_000 - 1) << 3 | 1 << 21 | rest << 24
    data[place : place + 8] = (value & (2**64 - 1)).to_bytes(8, "little")
    return bytes(data)


PHOTOS = {
    "header.jpg": jpeg, "progressive.jpg": progressive_jpeg, "header.png": png,
    "content.png": lambda: png(20_000, 20_000, bytes(20_000 * 20_001)),
    "lossless.webp": webp, "lossy.webp": lossy_webp, "header.gif": gif, "header.bmp": bmp,
    "header.jp2": jp2,
}  # fmt: skip

# Compression of a TIFF's tile: code and content.
TILES = {
    "jpeg": (7, jpeg), "progressive jpeg": (7, progressive_jpeg), "png": (34933, png),
    "webp": (50001, webp), "jpeg 2000": (34712, jp2), "aperio jpeg 2000": (33005, jp2),
    "jpeg xl": (50002, jpegxl), "jpeg xr": (22610, lambda: bytes(1000)),
    "deflate": (8, lambda: zlib.compress(bytes(2 * 10**8), 9)),
    "zstd": (50000, lambda: imagecodecs.zstd_encode(bytes(10**9))),
}  # fmt: skip


def tile_tiff(path, kind, **how):
    """A TIFF of tiles of 64 px, the content of which is a bomb."""
    code, content = TILES[kind]
    bomb = content()
    tifffile.imwrite(
        path, iter([bomb] * 4), shape=(128, 128, 3), dtype=np.uint8, photometric="rgb",
        tile=(64, 64), compression=code, metadata=None, **how,
    )  # fmt: skip
    return path


def strip_tiff(path, side=20_000):
    """One strip of 1.2 GB, deflated a hundredfold or more."""
    packer = zlib.compressobj(1)
    row = bytes(side * 3 * 100)
    data = b"".join(packer.compress(row) for _ in range(side // 100)) + packer.flush()
    tifffile.imwrite(
        path, iter([data]), shape=(side, side, 3), dtype=np.uint8, photometric="rgb",
        rowsperstrip=side, compression="deflate", metadata=None,
    )  # fmt: skip
    return path


OME = (
    '<?xml version="1.0"?>{entities}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    '<Image ID="Image:0" Name="a"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" '
    'SizeX="64" SizeY="64" SizeC="{c}" SizeZ="{z}" SizeT="1">'
    '<Channel ID="Channel:0" SamplesPerPixel="3"/>{data}</Pixels>{extra}</Image>{after}</OME>'
)
LAUGHS = "<!DOCTYPE a [<!ENTITY e0 'ha'>" + "".join(
    f"<!ENTITY e{n} '{f'&e{n - 1};' * 10}'>" for n in range(1, 12)
)
DESCRIPTIONS = {
    "ome channels": OME.format(
        entities="", c=3 * 4 * 10**8, z=1, data='<TiffData IFD="0"/>', extra="", after=""
    ),
    "ome planes": OME.format(
        entities="", c=3, z=1, data='<TiffData IFD="0" PlaneCount="400000000"/>', extra="", after=""
    ),
    "ome first": OME.format(
        entities="", c=3, z=4 * 10**8+1, data='<TiffData IFD="0" FirstZ="400000000"/>',
        extra="", after="",
    ),
    "ome planes in entities": OME.format(
        entities="<!DOCTYPE a [<!ENTITY n '400000000'>]>",
        c=3, z=1, data='<TiffData IFD="0" PlaneCount="&n;"/>', extra="", after="",
    ),
    "ome laughs": OME.format(
        entities=LAUGHS + "]>", c=3, z=1, data='<TiffData IFD="0"/>', extra="&e11;", after=""
    ),
    "ome modulo": OME.format(
        entities="", c=3, z=1, data='<TiffData IFD="0"/>', extra='<AnnotationRef ID="m"/>',
        after='<StructuredAnnotations><XMLAnnotation ID="m" Namespace="x/modulo"><Value><Modulo>'
        '<ModuloAlongC Type="lambda" Start="0" Step="1" End="4e8"/></Modulo></Value>'
        "</XMLAnnotation></StructuredAnnotations>",
    ),
    "imagej": "ImageJ=1.11a\nimages=400000000\nslices=400000000\nhyperstack=true\n",
    "shaped": '{"shape": [400000000, 64, 64, 3]}',
    "svs": "Aperio Image Library v12\r\n99999999x99999999 |AppMag = 1e999|MPP = -0",
}  # fmt: skip


def described_tiff(path, kind):
    tifffile.imwrite(
        path, SMALL, photometric="rgb", tile=(64, 64), metadata=None,
        description=DESCRIPTIONS[kind].encode(),
    )  # fmt: skip
    return path
