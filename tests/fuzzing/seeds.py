"""Small real files of every kind that is read, as what mutations start from."""

import io
from unittest.mock import patch
from uuid import UUID

import numpy as np
import skimage.data
import tifffile
import torch
from fuzzing.vendors import APERIO, write_ndpi, write_svs
from PIL import Image
from safetensors.torch import save_file
from support import small_resnet

from uhrtranslate.io import OutputSpec, open_writer
from uhrtranslate.models import GeneratorInfo, save_native
from uhrtranslate.models.unet import UnetGenerator

PIXELS = skimage.data.immunohistochemistry()[100:229, 100:261]


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
    tiff("a.ome.tif", compression="zstd", ome=True, metadata={"UUID": str(UUID(int=1))}, **tiled)
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
    # Of one tile, whose size then has 64 bits.
    with open_writer(folder / "ours-one-tile.tif", OutputSpec(161, 129)) as writer:
        writer.write(0, 0, PIXELS)
    write_svs(folder / "vendor.svs", PIXELS)
    write_svs(folder / "vendor-jpeg2000.svs", PIXELS, compression="aperio_jp2000_rgb")
    write_ndpi(folder / "vendor.ndpi", PIXELS)
    with open_writer(folder / "ours.zarr", OutputSpec(161, 129, tile=64, smallest=64)) as writer:
        writer.write(0, 0, PIXELS)
    for order, big in (("<", False), ("<", True), (">", False), (">", True)):
        how = {"photometric": "rgb", "metadata": None, "compression": "jpeg", "tile": (64, 64)}
        name = f"levels-{'little' if order == '<' else 'big'}-{64 if big else 32}.tif"
        with tifffile.TiffWriter(folder / name, bigtiff=big, byteorder=order) as writer:
            for step in (1, 2, 4):
                subifds = 1 if step == 1 else 0
                image = np.ascontiguousarray(PIXELS[::step, ::step])
                writer.write(image, subfiletype=int(step > 1), subifds=subifds, **how)


def write_checkpoints(folder):
    """Checkpoints of a tiny generator, in every container that is loaded."""
    network = small_resnet(ngf=2, n_blocks=1)
    state = network.state_dict()
    torch.save(state, folder / "zip.pth")
    save_old(state, folder / "old.pth")
    wrapped = {"netG_A": state, "netD_A": {"model.0.weight": torch.zeros(4, 3, 4, 4)}}
    save_old(wrapped, folder / "old-wrapped.pt")
    save_file(state, folder / "bare.safetensors")
    unet = UnetGenerator(n_downs=5, ngf=2)
    state = unet.state_dict()
    torch.save({f"module.{key}": tensor for key, tensor in state.items()}, folder / "unet.pt")
    torch.save(
        {"epoch": 3, "state_dict": network.state_dict(), "lr": 2e-4}, folder / "wrapped.ckpt"
    )
    info = GeneratorInfo("resnet", {"ngf": 2, "n_blocks": 1}, cell=64)
    save_native(folder / "native.safetensors", network, info)


def save_old(state, path):
    """As torch saved before its zip format, with the same bytes each time.

    The old format names storages by their addresses; here they are numbered as they come.
    """
    numbers = {}
    number = property(lambda storage: numbers.setdefault(storage.data_ptr(), len(numbers)))
    with patch.object(torch.UntypedStorage, "_cdata", number):
        torch.save(state, path, _use_new_zipfile_serialization=False)


def _exif():
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "camera"
    buffer = io.BytesIO(exif.tobytes())
    return buffer.getvalue()
