"""Options of the tasks that change colours without a generator: stains, and dark fields."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from uhrtranslate.flag import MACHINE, Flag
from uhrtranslate.options.images import DeepOptions
from uhrtranslate.options.networks import (
    Batch,
    BlendChoice,
    Cell,
    Device,
    NormChoice,
    Overlap,
    Precision,
    Tile,
)
from uhrtranslate.tables import STAIN_METHODS, STAINNET

if TYPE_CHECKING:
    StainMethod: TypeAlias = str
else:
    # Besides the methods: a StainNet, which knows its own target, and any generator.
    StainMethod = Literal[(*STAIN_METHODS, STAINNET, "model")]


class StainOptions(DeepOptions):
    """How stains are normalized."""

    # What only a generator has.
    OF_GENERATORS: ClassVar = (
        "norm", "cell", "tile", "overlap", "blend", "batch", "device", "precision", "bits",
    )  # fmt: skip

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

    on_bad_fit: Annotated[
        Literal["warn", "skip", "copy", "fallback"],
        Flag(
            "What to do with slides whose fit is implausible, such as very pale ones: only warn, "
            "leave them out, copy them, or (fallback) only move their mean colour."
        ),
    ] = "warn"
    norm: NormChoice = "pooled"
    cell: Cell = None
    tile: Tile = None
    overlap: Overlap = None
    blend: BlendChoice = "linear"
    batch: Batch = None
    device: Device = "auto"
    precision: Precision = "fp32"
    bits: Annotated[
        Literal[8, 16],
        Flag("Bits per channel of results: 8, or 16 (lossless), of method model.", MACHINE),
    ] = 8

    @model_validator(mode="after")
    def _model_for_stainnet(self) -> Self:
        if (self.method in ("stainnet", "model")) != (self.model is not None):
            raise ValueError("model is for the methods stainnet and model, which need it")
        for name in self.OF_GENERATORS:
            if name in self.model_fields_set and self.method != "model":
                raise ValueError(f"{name} is for the method model, which runs a generator")
        return self


class EnhanceOptions(DeepOptions):
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
    gain: Annotated[
        Annotated[float, Field(ge=0.1, le=100)] | None,
        Flag(
            "Most that small differences may grow, such as the noise of the background; the paper "
            "sets no limit.",
            metavar="F",
        ),
    ] = None
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
