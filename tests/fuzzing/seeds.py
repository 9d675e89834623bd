"""Small real files of every kind that is read, as what mutations start from."""

import io

import numpy as np
import skimage.data
import tifffile
import torch
from PIL import Image
from support import SHARED, small_resnet

from uhrtranslate.io import OutputSpec, open_writer
from uhrtranslate.models import GeneratorInfo, save_native

PIXELS = skimage.data.immunohistochemistry()[100:229, 100:261]
APERIO = "Aperio Image Library v12\r\n161x129 |AppMag = 40|MPP = 0.2520|Date = 01/02/26"
# Files of this many bytes at most are taken from the shared data.
LARGEST = 400_000


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


def write_checkpoints(folder):
    """Checkpoints of a tiny generator, in every container that is loaded."""
    network = small_resnet(ngf=2, n_blocks=1)
    state = network.state_dict()
    torch.save(state, folder / "zip.pth")
    torch.save(state, folder / "old.pth", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "state_dict": state, "lr": 2e-4}, folder / "wrapped.ckpt")
    info = GeneratorInfo("resnet", {"ngf": 2, "n_blocks": 1}, cell=64)
    save_native(folder / "native.safetensors", network, info)


def _exif():
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "camera"
    buffer = io.BytesIO(exif.tobytes())
    return buffer.getvalue()
