"""Everything that comes in several kinds, by name: a new one is one file, and one line here.

A member is written as `room.file:name` and imported when it is first asked for, so the command line
knows every name without loading torch.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar

Member = TypeVar("Member")


class Table(Mapping[str, Member], Generic[Member]):
    """Members of one kind by the names that users give them.

    Args:
        places: where each member is: its module inside the package, a colon, its name there.
    """

    def __init__(self, places: dict[str, str]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> Member:
        file, _, attribute = self._places[name].partition(":")
        member: Member = getattr(import_module(f"uhrtranslate.{file}"), attribute)
        return member

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


# From a table of statistics to a field: `--norm`.
NORMALIZERS: Table[Any] = Table(
    {
        "dn": "normalizers.dn:DN",
        "pooled": "normalizers.pooled:Pooled",
        "kin": "normalizers.kin:KIN",
        "tin": "normalizers.tin:TIN",
        "in": "normalizers.patch_in:PatchIN",
    }
)
# How much each pixel of a tile counts where tiles overlap: `--blend`. The first one is the default.
BLENDS: Table[Any] = Table(
    {
        "linear": "geometry.windows.linear:linear",
        "cosine": "geometry.windows.cosine:cosine",
        "centre": "geometry.windows.centre:centre",
    }
)
# From a schedule of noise to the steps of sampling: `--sampler`. The first one is the default.
SAMPLERS: Table[Any] = Table(
    {
        "ddim": "diffusion.schedulers:ddim",
        "dpm++": "diffusion.schedulers:dpm_solver",
    }
)
# Networks that translate images, recognised by the keys and shapes of their weights: `--model`.
GENERATOR_FAMILIES: Table[Any] = Table(
    {
        "resnet": "models.resnet:RESNET",
        "kaminyou": "models.kaminyou:KAMINYOU",
        "unet": "models.unet:UNET",
        "attention-unet": "models.attention_unet:ATTENTION_UNET",
        "histoplexer": "models.histoplexer:HISTOPLEXER",
        "swin-unet": "models.swin_unet:SWIN_UNET",
        "colorizer": "models.colorizer:COLORIZER",
    }
)
# What a generator takes, made from the source's pixels: `inputs` of its facts.
PLANES: Table[Any] = Table(
    {
        "rgb": "enhance.planes:RGB",
        "grey": "enhance.planes:GREY",
        "enhanced": "enhance.planes:ENHANCED",
        "enhanced-colour": "enhance.planes:ENHANCED_COLOUR",
        "standardised": "enhance.planes:STANDARDISED",
        "toned": "enhance.planes:TONED",
        "channels": "enhance.planes:CHANNELS",
    }
)
# From the colours of one slide to those of another: `uhrt stain-normalize --method`.
STAIN_METHODS: Table[Any] = Table(
    {
        "macenko": "stain.macenko:Macenko",
        "vahadane": "stain.vahadane:Vahadane",
        "reinhard": "stain.reinhard:Reinhard",
        "reinhard-plain": "stain.reinhard:ReinhardPlain",
        "histogram": "stain.histogram:Histogram",
    }
)
# How good a translation is: `uhrt evaluate`. Each is a group of figures in results and conditions.
FIGURES: Table[Any] = Table(
    {
        "seam": "evaluation.figures.seam:Seam",
        "tiles": "evaluation.figures.tiles:Tiles",
        "tilings": "evaluation.figures.tilings:Tilings",
        "structure": "evaluation.figures.structure:Structure",
        "colour": "evaluation.figures.colour:Colour",
        "baseline": "evaluation.figures.colour:Baseline",
        "paired": "evaluation.figures.paired:Paired",
        "stain": "evaluation.figures.stain:Stain",
        "stained": "evaluation.figures.stained:Stained",
        "classes": "evaluation.figures.classes:Classes",
        "nuclei": "evaluation.figures.nuclei:Nuclei",
        "true_nuclei": "evaluation.figures.nuclei:TrueNuclei",
        "quality": "evaluation.figures.quality:Quality",
        "population": "evaluation.figures.population:Population",
        "domain": "evaluation.figures.domain:Domain",
        "run": "evaluation.figures.cost:Cost",
    }
)
# How slides are written: `--format`. The first one is the default.
FORMATS: Table[Any] = Table(
    {
        "tiff": "io.writers.tiff:TIFF",
        "ome-tiff": "io.writers.ome_tiff:OME_TIFF",
        "svs": "io.writers.aperio:APERIO",
        "ome-zarr": "io.writers.ome_zarr:OME_ZARR",
        "ome-zarr-0.5": "io.writers.ome_zarr_05:OME_ZARR_05",
        "ome-zarr-sharded": "io.writers.ome_zarr_sharded:OME_ZARR_SHARDED",
    }
)
# How the tiles of a slide are encoded: `--compression`.
COMPRESSIONS: Table[Any] = Table(
    {
        "jpeg": "io.writers.tiff_codecs:JPEG",
        "deflate": "io.writers.tiff_codecs:DEFLATE",
        "lzw": "io.writers.tiff_codecs:LZW",
        "zstd": "io.writers.tiff_codecs:ZSTD",
        "none": "io.writers.tiff_codecs:NONE",
    }
)
# How photos are written: by the ending of the output.
PHOTO_FORMATS: Table[Any] = Table(
    {
        "png": "io.writers.photo_formats:PNG",
        "jpeg": "io.writers.photo_formats:JPEG",
        "webp": "io.writers.photo_formats:WEBP",
    }
)
# From folders of images to generators and other models: `method` of `uhrt train`.
TRAINING_METHODS: Table[Any] = Table(
    {
        "cyclegan": "training.methods.cyclegan:CycleGan",
        "cut": "training.methods.cut:Cut",
        "fastcut": "training.methods.cut:FastCut",
        "lsesim": "training.methods.lsesim:LSeSim",
        "pix2pix": "training.methods.pix2pix:Pix2Pix",
        "pyramid-pix2pix": "training.methods.pyramid_pix2pix:PyramidPix2Pix",
        "colorizer": "training.methods.colorizer:Colorize",
        "digital-staining": "training.methods.digital_staining:DigitalStaining",
        "digital-staining-paired": "training.methods.digital_staining_paired:DigitalStainingPaired",
        "dstgan": "training.methods.dstgan:Dstgan",
        "autoencoder": "training.methods.autoencoder:TrainAutoencoder",
        "pathup": "training.methods.pathup:PathUp",
    }
)
# Suffixes of results, before the format's ending, that do not come from a member of a table.
STAINNET, MODEL, ENHANCED, SYNTHESIZED, WARPED = "stainnet", "model", "enhanced", "dark", "warped"
UPSCALED = "upscaled"
RESULT_SUFFIXES = (
    *NORMALIZERS, *STAIN_METHODS, STAINNET, MODEL, ENHANCED, SYNTHESIZED, WARPED, UPSCALED,
)  # fmt: skip
