"""Small real files of every kind that is read, as what mutations start from."""

import io
import struct

import numpy as np
import skimage.data
import tifffile
import torch
from PIL import Image
from safetensors.torch import save_file
from support import SHARED, small_resnet

from uhrtranslate.io import OutputSpec, open_writer
from uhrtranslate.models import GeneratorInfo, save_native
from uhrtranslate.models.unet import UnetGenerator

PIXELS = skimage.data.immunohistochemistry()[100:229, 100:261]
APERIO = "Aperio Image Library v12\r\n161x129 |AppMag = 40|MPP = 0.2520|Date = 01/02/26"
# Files of this many bytes at most are taken from the shared data.
LARGEST = 400_000
TILES = ("TileOffsets", "TileByteCounts")
STRIPS = ("StripOffsets", "StripByteCounts")


def write_images(folder):
    """Images, one file each."""

    def tiff(name, pixels=PIXELS, **how):
        tifffile.imwrite(folder / name, pixels, **({"photometric": "rgb"} | how))

    tiled = {"tile": (64, 64)}
    tiff("tiled.tif", compression="jpeg", **tiled, resolution=(4e4, 4e4), resolutionunit=3)
    tiff("aperio.svs", compression="jpeg", **tiled, description=APERIO, metadata=None)
    tiff("lzw.btf", compression="lzw", predictor=True, **tiled, bigtiff=True)
    tiff("planar.tif", PIXELS.transpose(2, 0, 1).copy(), planarconfig="separate", **tiled)
    tiff("strips.tif", compression="deflate", rowsperstrip=32)
    tiff("deep.tif", PIXELS.astype(np.uint16) * 257, **tiled)
    tiff("float.tif", PIXELS[..., 0].astype(np.float32), photometric="minisblack")
    tiff("motorola.tif", byteorder=">", **tiled)
    tiff("a.ome.tif", compression="zstd", ome=True, **tiled)
    tiff("tall.tif", compression="jpeg", rowsperstrip=32)
    tiff("webp.tif", compression="webp", **tiled)
    tiff("jpeg2000.tif", compression="jpeg2000", **tiled)
    tiff("jpegxl.tif", compression="jpegxl", **tiled)
    tiff("imagej.tif", PIXELS[..., 0].copy(), photometric="minisblack", imagej=True)
    alpha = np.dstack([PIXELS, PIXELS[..., 0]])
    tiff("alpha.tif", alpha, extrasamples=["assocalpha"], compression="packbits", **tiled)
    image = Image.fromarray(PIXELS)
    for name, options in {
        "photo.jpg": {"exif": _exif()},
        "photo.png": {"icc_profile": b"no profile"},
        "photo.webp": {},
        "photo.gif": {},
        "photo.bmp": {},
        "photo.jp2": {},
    }.items():
        image.save(folder / name, **options)
    image.quantize(16).save(folder / "palette.png")
    image.quantize(16).save(folder / "palette.tif", compression="tiff_lzw")
    image.convert("CMYK").save(folder / "cmyk.tif")
    image.convert("YCbCr").save(folder / "ycbcr.tif")  # which only Pillow reads
    image.convert("1").save(folder / "fax.tif", compression="group4")
    Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257).save(folder / "deep.png")
    image.save(folder / "progressive.jpg", progressive=True)
    image.save(folder / "lossless.webp", lossless=True)
    image.convert("CMYK").save(folder / "cmyk.jpg")
    image.convert("1").save(folder / "one-bit.tif")
    for name in ("ours.tif", "ours.ome.tif", "ours.svs"):
        spec = OutputSpec(161, 129, mpp=(0.5, 0.5), tile=32, smallest=32, description="{}")
        with open_writer(folder / name, spec) as writer:
            writer.write(0, 0, PIXELS)
    if SHARED.is_dir():
        for path in sorted((SHARED / "data").rglob("*")):
            if path.is_file() and path.suffix != ".md" and path.stat().st_size < LARGEST:
                (folder / f"real-{path.name}").write_bytes(path.read_bytes())
        real = {".svs": ("aperio-svs/CMU-1-Small-Region.svs", range(4)),
                ".ndpi": ("hamamatsu-ndpi/test3-DAPI-387.ndpi", range(3, 5))}  # fmt: skip
        for suffix, (name, pages) in real.items():
            write_part(SHARED / "data" / name, folder / f"real-part{suffix}", pages)


def write_part(source, target, wanted):
    """Some pages of a real classic TIFF, with all their tags: its vendor's format, but small."""
    data = source.read_bytes()
    with tifffile.TiffFile(source) as tiff:
        pages = [tiff.pages[n].aspage() for n in wanted if n < len(tiff.pages)]
        kept = []
        for page in pages:
            # Of the tags, as tifffile cuts a strip with restart markers into many.
            names = STRIPS if STRIPS[0] in page.tags else TILES
            offsets, sizes = (page.tags[name] for name in names)
            kept.append((page.offset, offsets, offsets.value, sizes.value))
        order, ndpi = tiff.byteorder, tiff.is_ndpi
    out = bytearray(struct.pack(order + "2sHIQ", data[:2], 42, 0, 0))
    link = 4
    for start, tag, offsets, sizes in kept:
        moved = []
        for offset, size in zip(offsets, sizes, strict=True):
            moved.append(len(out))
            out += data[offset : offset + size] + bytes(size % 2)
        (count,) = struct.unpack_from(order + "H", data, start)
        entries = []
        for n in range(count):
            code, kind, number, value = struct.unpack_from(order + "HHII", data, start + 2 + 12 * n)
            size = number * {2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 11: 4, 12: 8, 16: 8}.get(kind, 1)
            if code == tag.code:
                kind, size, body = 4, 4 * number, struct.pack(f"{order}{number}I", *moved)
                value = moved[0]
            else:
                body = data[value : value + size]
            if size > 4:
                value = len(out)
                out += body + bytes(size % 2)
            entries.append((code, kind, number, value))
        struct.pack_into(order + "I", out, link, len(out))
        out += struct.pack(order + "H", count)
        for entry in entries:
            out += struct.pack(order + "HHII", *entry)
        link = len(out)
        # NDPI has eight bytes for the next page, and four of each value's upper half.
        out += bytes(8 + 4 * count if ndpi else 4)
    target.write_bytes(out)


def write_checkpoints(folder):
    """Checkpoints of a tiny generator, in every container that is loaded."""
    network = small_resnet(ngf=2, n_blocks=1)
    state = network.state_dict()
    torch.save(state, folder / "zip.pth")
    torch.save(state, folder / "old.pth", _use_new_zipfile_serialization=False)
    torch.save({"netG_A": state, "netD_A": {"model.0.weight": torch.zeros(4, 3, 4, 4)}},
               folder / "old-wrapped.pt", _use_new_zipfile_serialization=False)  # fmt: skip
    save_file(state, folder / "bare.safetensors")
    unet = UnetGenerator(n_downs=5, ngf=2)
    state = unet.state_dict()
    torch.save({f"module.{key}": tensor for key, tensor in state.items()}, folder / "unet.pt")
    torch.save(
        {"epoch": 3, "state_dict": network.state_dict(), "lr": 2e-4}, folder / "wrapped.ckpt"
    )
    info = GeneratorInfo("resnet", {"ngf": 2, "n_blocks": 1}, cell=64)
    save_native(folder / "native.safetensors", network, info)


def _exif():
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "camera"
    buffer = io.BytesIO(exif.tobytes())
    return buffer.getvalue()
