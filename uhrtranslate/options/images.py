"""Options of every task that turns one image into another, and of translations."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from uhrtranslate.flag import (
    GEOMETRY,
    IMAGE,
    MACHINE,
    Flag,
    parse_bandwidth,
    parse_choice,
    parse_region,
)
from uhrtranslate.options.clusters import Cluster, Split, WithoutTls
from uhrtranslate.options.networks import (
    Auto,
    Batch,
    BlendChoice,
    Cell,
    Device,
    NormChoice,
    Overlap,
    Precision,
    Tile,
)
from uhrtranslate.tables import COMPRESSIONS, FORMATS

if TYPE_CHECKING:
    Format: TypeAlias = str
    Compression: TypeAlias = str
else:
    Format = Literal[tuple(FORMATS)]
    Compression = Literal[tuple(COMPRESSIONS)]
KernelType = Literal["constant", "gaussian"]
Region = Annotated[tuple[int, int, int, int], BeforeValidator(parse_region)]
Level = Annotated[
    Annotated[int, Field(ge=0)] | None,
    Flag("Pyramid level to work on.", IMAGE, "N", "0, the largest"),
]
Mpp = Annotated[
    Annotated[float, Field(gt=0)] | None,
    Flag("Micrometres per pixel to work at, read from the nearest finer level.", IMAGE, "F"),
]
SourceMpp = Annotated[
    Annotated[float, Field(gt=0)] | None,
    Flag(
        "Micrometres per pixel of the sources' level 0, where they do not say it or are wrong.",
        IMAGE,
        "F",
    ),
]
SourcePower = Annotated[
    Annotated[float, Field(gt=0, le=200)] | None,
    Flag(
        "The same by the objective's power: by convention 10 um/px divided by it, so 20 is 0.5 "
        "and 40 is 0.25.",
        IMAGE,
        "20|40",
    ),
]
Part = Annotated[
    Region | None, Flag("Part of the image, in level-0 pixels.", IMAGE, "X,Y,W,H", "all")
]


def refuse_both(options: BaseModel, first: str, second: str) -> None:
    """Check that of two options one at most is given.

    Raises:
        ValueError: neither is None.
    """
    if getattr(options, first) is not None and getattr(options, second) is not None:
        raise ValueError(f"{first} and {second} exclude each other")


class InfoOptions(BaseModel):
    """What is stated of images that are described.

    Attributes:
        source_mpp, source_power: what their level 0 has, see `io.stated_by`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source_mpp: SourceMpp = None
    source_power: SourcePower = None

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        refuse_both(self, "source_mpp", "source_power")
        return self


class ImageOptions(BaseModel):
    """Options of every task that turns one image into another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Level = None
    mpp: Mpp = None
    source_mpp: SourceMpp = None
    source_power: SourcePower = None
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
    cluster: Cluster = None
    split: Split = None
    without_tls: WithoutTls = False

    @model_validator(mode="after")
    def _exclude_each_other(self) -> Self:
        refuse_both(self, "level", "mpp")
        refuse_both(self, "source_mpp", "source_power")
        if self.overwrite and self.skip_existing:
            raise ValueError("overwrite and skip_existing exclude each other")
        return self


class DeepOptions(ImageOptions):
    """Options of tasks whose results may have more than 8 bits."""

    bits: Annotated[
        Literal[8, 16, 32],
        Flag(
            "Bits per channel of results: 8, 16, or of channels that are no colours 32 (floats); "
            "more than 8 are lossless.",
            MACHINE,
        ),
    ] = 8

    @model_validator(mode="before")
    @classmethod
    def _lossless(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("bits", 8) != 8:
            return {"compression": "deflate", **values}
        return values

    @model_validator(mode="after")
    def _depths_fit(self) -> Self:
        if self.bits != 8:  # all of them hold 8 bits, so the formats need not be loaded
            for kind, table in (("compression", COMPRESSIONS), ("format", FORMATS)):
                name = getattr(self, kind)
                if name is not None and self.bits not in table[name].bits:
                    fit = ", ".join(other for other in table if self.bits in table[other].bits)
                    raise ValueError(
                        f"{name} holds no {self.bits} bits; choose another {kind}: {fit}"
                    )
        return self


class TranslateOptions(DeepOptions):
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
    norm: NormChoice = "pooled"
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
    glass: Annotated[
        Literal["auto", "white", "translate"],
        Flag(
            "What becomes of bare glass: white, or what the generator makes of it (translate). "
            "auto: as the generator's file says, see 'uhrt models'."
        ),
    ] = "auto"
    batch_statistics: Annotated[
        bool,
        Flag(
            "Batch norms follow --norm too, instead of their running statistics: as the public "
            "code of pix2pix and DeepLIIF runs its checkpoints."
        ),
    ] = False
    cell: Cell = None
    tile: Tile = None
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
    overlap: Overlap = None
    blend: BlendChoice = "linear"
    pad: Annotated[
        Literal["context", "reflect"],
        Flag("Seamless (context), or as published: each cell alone, mirrored (reflect).", GEOMETRY),
    ] = "context"
    batch: Batch = None
    device: Device = "auto"
    at_once: Annotated[
        Annotated[int, Field(ge=1, le=64)] | None,
        Flag("Images to work on at once; they share the devices.", MACHINE, "N", "1 per device"),
    ] = None
    precision: Precision = "fp32"
    stats_precision: Annotated[
        Literal["fp32", "bf16", "fp16"] | None,
        Flag("The same, where only statistics are collected.", MACHINE, None, "as --precision"),
    ] = None
    compile: Annotated[
        bool | None,
        BeforeValidator(parse_choice),
        Flag(
            "Forwards by compiled code. On a CPU: by kernels that the C++ compiler makes once, in "
            "seconds. On a GPU: by kernels that Triton, which comes with torch on Linux, makes. "
            "auto takes them wherever it can.",
            MACHINE,
            default="auto",
        ),
    ] = None

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, not {self.kernel}")
        refuse_both(self, "halo", "overlap")
        refuse_both(self, "at_once", "cluster")
        if self.cluster is not None and self.device not in ("auto", "cpu", "cuda"):
            raise ValueError(
                "device must be auto, cpu or cuda with a cluster: each worker has the GPU that it "
                "was started with"
            )
        if self.pad == "reflect" and self.overlap is not None:
            raise ValueError("overlap cannot be chosen with pad reflect: every cell is alone")
        if self.pad == "reflect" and self.tile is not None and self.tile != self.cell:
            raise ValueError("tile cannot be chosen with pad reflect: every cell is a tile")
        return self
