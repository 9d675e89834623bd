"""What a user can choose: declared once, for the command line, YAML files and Python alike.

Each option is a field with a `Flag`, from which the command line makes its flag and the help.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from uhrtranslate.errors import OptionError
from uhrtranslate.flag import (
    GEOMETRY,
    IMAGE,
    MACHINE,
    Flag,
    parse_auto,
    parse_bandwidth,
    parse_region,
)
from uhrtranslate.tables import BLENDS, COMPRESSIONS, FORMATS, NORMALIZERS, STAIN_METHODS, STAINNET

if TYPE_CHECKING:
    Norm: TypeAlias = str
    Blend: TypeAlias = str
    StainMethod: TypeAlias = str
    Format: TypeAlias = str
    Compression: TypeAlias = str
else:
    Norm = Literal[tuple(NORMALIZERS)]
    Blend = Literal[tuple(BLENDS)]
    # Besides the methods: a StainNet, which knows its own target, and any generator.
    StainMethod = Literal[(*STAIN_METHODS, STAINNET, "model")]
    Format = Literal[tuple(FORMATS)]
    Compression = Literal[tuple(COMPRESSIONS)]
KernelType = Literal["constant", "gaussian"]
Region = Annotated[tuple[int, int, int, int], BeforeValidator(parse_region)]
Auto = BeforeValidator(parse_auto)
Level = Annotated[
    Annotated[int, Field(ge=0)] | None,
    Flag("Pyramid level to work on.", IMAGE, "N", "0, the largest"),
]
Mpp = Annotated[
    Annotated[float, Field(gt=0)] | None,
    Flag("Micrometres per pixel to work at, read from the nearest finer level.", IMAGE, "F"),
]
Part = Annotated[
    Region | None, Flag("Part of the image, in level-0 pixels.", IMAGE, "X,Y,W,H", "all")
]


class ImageOptions(BaseModel):
    """Options of every task that turns one image into another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Level = None
    mpp: Mpp = None
    region: Part = None
    mask: Annotated[
        str,
        Flag(
            "Where the tissue is: detected in a thumbnail (auto), or read from a mask image of "
            "the whole slide or a GeoJSON file of QuPath. Cells without tissue are not computed.",
            IMAGE,
            "none|auto|FILE",
        ),
    ] = "none"
    background: Annotated[
        str,
        Flag("Fills cells without tissue; keep: the source's pixels.", IMAGE, "white|keep|COLOR"),
    ] = "white"
    format: Annotated[
        Format | None,
        Flag(
            "File format of slides: pyramidal BigTIFF (tiff), OME-TIFF, BigTIFF with Aperio's "
            "description (svs), or OME-Zarr (0.4, which more programs read, or 0.5).",
            MACHINE,
            default="by the output's ending, or tiff",
        ),
    ] = None
    compression: Annotated[Compression, Flag("Compression of TIFF outputs.", MACHINE)] = "jpeg"
    quality: Annotated[int, Field(ge=1, le=100), Flag("JPEG quality.", MACHINE, "1-100")] = 90
    keep_associated: Annotated[
        bool,
        Flag("Copy thumbnail, label and macro image; labels may show patients' names.", MACHINE),
    ] = False
    preview: Annotated[
        bool, Flag("Also write a PNG with source and result side by side.", MACHINE)
    ] = False
    overwrite: Annotated[bool, Flag("Replace existing outputs.", MACHINE)] = False
    resume: Annotated[
        bool, Flag("Continue interrupted runs; skip outputs that are complete.", MACHINE)
    ] = False
    skip_existing: Annotated[
        bool, Flag("Skip inputs whose output is complete; redo incomplete ones.", MACHINE)
    ] = False
    workers: Annotated[
        int, Field(ge=1, le=64), Flag("Threads to read with, and to encode with.", MACHINE, "N")
    ] = 2
    allow_sparse: Annotated[
        bool, Flag("Accept TIFFs that hold fewer than 1 in 50 of their tiles.", IMAGE)
    ] = False
    profile: Annotated[
        Path | None,
        Flag(
            "Write a trace of where the time goes, for chrome://tracing; several inputs give "
            "numbered files.",
            MACHINE,
            "JSON",
        ),
    ] = None

    @model_validator(mode="after")
    def _exclude_each_other(self) -> Self:
        if self.level is not None and self.mpp is not None:
            raise ValueError("level and mpp exclude each other")
        if self.overwrite and self.skip_existing:
            raise ValueError("overwrite and skip_existing exclude each other")
        return self


class TranslateOptions(ImageOptions):
    """How images are translated; where the default is None, generator or image decide."""

    model: Annotated[
        str,
        Flag(
            "Bundled generator (see 'uhrt models'), checkpoint (.pth, .pt, .ckpt, .safetensors), "
            "or package.module:factory.",
            metavar="M",
            short="-m",
        ),
    ] = "he2ihc"
    norm: Annotated[
        Norm,
        Flag(
            "What replaces instance norm and the like: dense (dn), pooled from the cells around "
            "(pooled), kernelized (kin), thumbnail (tin), or of each cell alone (in)."
        ),
    ] = "dn"
    bandwidth: Annotated[
        str,
        BeforeValidator(parse_bandwidth),
        Flag(
            "How far --norm pooled looks around a pixel: standard deviation of its Gaussian in "
            "cells, or in micrometres; inf: all of the image.",
            metavar="CELLS|Xum|inf|auto",
        ),
    ] = "auto"
    kernel: Annotated[
        int, Field(ge=1, le=99), Flag("Side of KIN's kernel in cells, odd.", metavar="K")
    ] = 3
    kernel_type: Annotated[KernelType, Flag("Shape of KIN's kernel.")] = "constant"
    thumbnail: Annotated[
        Literal["aspect", "square"],
        Flag("Shape of TIN's thumbnail: the image's aspect, or square as in the public code."),
    ] = "aspect"
    batch_statistics: Annotated[
        bool,
        Flag(
            "Batch norms follow --norm too, instead of their running statistics: as the public "
            "code of pix2pix and DeepLIIF runs its checkpoints."
        ),
    ] = False
    cell: Annotated[
        Annotated[int, Field(ge=16, le=8192)] | None,
        Flag(
            "Side of the statistics cells: the patch size the generator was trained on.",
            GEOMETRY,
            "PX",
            "the generator's own, or 512",
        ),
    ] = None
    tile: Annotated[
        Annotated[int, Field(ge=16, le=16384)] | None,
        Auto,
        Flag(
            "Side of the tiles computed at once; affects speed and memory, not the result.",
            GEOMETRY,
            "PX|auto",
            "auto",
        ),
    ] = None
    halo: Annotated[
        Annotated[int, Field(ge=0, le=4096)] | None,
        Auto,
        Flag(
            "Real pixels around a tile, measured by default; with --pad reflect, mirrored pixels "
            "(16 for dn, 0 for the others).",
            GEOMETRY,
            "PX|auto",
            "auto",
        ),
    ] = None
    overlap: Annotated[
        Annotated[int, Field(ge=0, le=8192)] | None,
        Auto,
        Flag(
            "Px that tiles share at least if they are blended, as of generators whose output "
            "depends on where a tile begins; a number blends tiles of any generator.",
            GEOMETRY,
            "PX|auto",
            "auto: a quarter of the tile",
        ),
    ] = None
    blend: Annotated[
        Blend,
        Flag(
            "Weights of blended tiles: ramps (linear, cosine), or by distance (centre).", GEOMETRY
        ),
    ] = "linear"
    pad: Annotated[
        Literal["context", "reflect"],
        Flag("Seamless (context), or as published: each cell alone, mirrored (reflect).", GEOMETRY),
    ] = "context"
    batch: Annotated[
        Annotated[int, Field(ge=1, le=256)] | None,
        Auto,
        Flag(
            "Number of tiles computed together.",
            MACHINE,
            "N|auto",
            "auto: 1 on a CPU, on a GPU by its memory",
        ),
    ] = None
    device: Annotated[
        str,
        Flag(
            "Where the generator runs; several devices (cuda:0,cuda:1) share the work.",
            MACHINE,
            "auto|cpu|cuda:N",
        ),
    ] = "auto"
    at_once: Annotated[
        Annotated[int, Field(ge=1, le=64)] | None,
        Flag("Images to work on at once; they share the devices.", MACHINE, "N", "1 per device"),
    ] = None
    precision: Annotated[
        Literal["fp32", "bf16", "fp16", "auto"],
        Flag(
            "Precision of the convolutions; sums are always fp32. auto: the fastest one that stays "
            "within one grey level of fp32 on a sample of the image.",
            MACHINE,
        ),
    ] = "fp32"
    stats_precision: Annotated[
        Literal["fp32", "bf16", "fp16"] | None,
        Flag("The same, where only statistics are collected.", MACHINE, None, "as --precision"),
    ] = None
    compile: Annotated[
        bool, Flag("Have torch compile the generator: a minute or two once, then faster.", MACHINE)
    ] = False

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, not {self.kernel}")
        if self.halo is not None and self.overlap is not None:
            raise ValueError("halo and overlap exclude each other")
        if self.pad == "reflect" and self.overlap is not None:
            raise ValueError("overlap cannot be chosen with pad reflect: every cell is alone")
        if self.pad == "reflect" and self.tile is not None and self.tile != self.cell:
            raise ValueError("tile cannot be chosen with pad reflect: every cell is a tile")
        return self


class StainOptions(ImageOptions):
    """How stains are normalized."""

    method: Annotated[StainMethod, Flag("Method of normalization.")] = "macenko"
    fit: Annotated[
        Literal["slide", "tile"],
        Flag("Fit each slide once, or each tile (leaves seams; for comparison)."),
    ] = "slide"
    samples: Annotated[
        int,
        Field(ge=1000, le=10_000_000),
        Flag("Number of tissue pixels that a slide's fit is based on."),
    ] = 100_000
    seed: Annotated[int, Field(ge=0), Flag("Seed for drawing these pixels.")] = 0
    model: Annotated[
        str | None,
        Flag(
            "Weights of a StainNet (method stainnet), or a generator (method model).", metavar="M"
        ),
    ] = None
    little_tissue: Annotated[
        Literal["copy", "skip"], Flag("What to do with slides that have hardly any tissue.")
    ] = "copy"

    @model_validator(mode="after")
    def _model_for_stainnet(self) -> Self:
        if (self.method in ("stainnet", "model")) != (self.model is not None):
            raise ValueError("model is for the methods stainnet and model, which need it")
        return self


class EnhanceOptions(ImageOptions):
    """How dark-field images are enhanced."""

    invert: Annotated[
        bool, Flag("Make the brightest the darkest, as in the paper; otherwise plain matching.")
    ] = True
    colour: Annotated[bool, Flag("Keep the source's chroma; otherwise grey, as in the paper.")] = (
        False
    )
    clip: Annotated[
        float,
        Field(ge=0, lt=0.5),
        Flag("Share of the brightest pixels to ignore, such as a camera's hot pixels."),
    ] = 0.0
    pool: Annotated[
        bool, Flag("Use one histogram for all inputs, which keeps them comparable.")
    ] = False
    synthesize: Annotated[
        bool, Flag("Turn bright-field images into dark-field ones; the reference is dark-field.")
    ] = False
    bits: Annotated[
        Literal[8, 16],
        Flag("Bits per channel of results: 8, or 16 (lossless). Inputs are read in full depth."),
    ] = 8

    @model_validator(mode="before")
    @classmethod
    def _lossless(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("bits") == 16:
            return {"compression": "deflate", **values}
        return values

    @model_validator(mode="after")
    def _sixteen_bits_fit(self) -> Self:
        if self.bits != 8:  # all of them hold 8 bits, so the formats need not be loaded
            for kind, table in (("compression", COMPRESSIONS), ("format", FORMATS)):
                name = getattr(self, kind)
                if name is not None and self.bits not in table[name].bits:
                    fit = ", ".join(other for other in table if self.bits in table[other].bits)
                    raise ValueError(f"{name} holds 8 bits; choose another {kind}: {fit}")
        return self


Options = TypeVar("Options", bound=BaseModel)


def make_options(values: dict[str, Any]) -> TranslateOptions:
    """Validate the options of a translation; see `validated`."""
    return validated(TranslateOptions, values)


def validated(kind: type[Options], values: dict[str, Any]) -> Options:
    """Make options of a class from values by name.

    Raises:
        OptionError: an option is wrong; names the first one and what it may be.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][:1]) or "options"
        # Of an option that may be one thing or another, there is an error for each.
        same = [one["msg"] for one in error.errors() if one["loc"][:1] == first["loc"][:1]]
        others = [text.removeprefix("Input should be ") for text in same[1:] if first["loc"]]
        message = " or ".join([same[0].removeprefix("Value error, "), *others])
        shown = f" (got {first['input']!r})" if first["loc"] else ""
        raise OptionError(f"{name}: {message[:1].lower()}{message[1:]}{shown}.") from error


def read_config(path: Path) -> dict[str, Any]:
    """Read options from a YAML file, a mapping whose keys may be written with - or _.

    Raises:
        OptionError: the file cannot be read or is not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise OptionError(f"{path}: cannot be read as YAML ({reason}).") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise OptionError(f"{path}: must be a mapping of options, as 'norm: dn'.")
    return {str(key).replace("-", "_"): value for key, value in content.items()}
