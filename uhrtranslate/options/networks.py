"""How a generator is run: options that translation and stain normalization share."""

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from uhrtranslate.flag import GEOMETRY, MACHINE, Flag, parse_auto
from uhrtranslate.tables import BLENDS, NORMALIZERS

if TYPE_CHECKING:
    Norm: TypeAlias = str
    Blend: TypeAlias = str
else:
    Norm = Literal[tuple(NORMALIZERS)]
    Blend = Literal[tuple(BLENDS)]
Auto = BeforeValidator(parse_auto)
NormChoice = Annotated[
    Norm,
    Flag(
        "What replaces instance norm and the like: pooled from the cells around (pooled), "
        "dense (dn), kernelized (kin), thumbnail (tin), or of each cell alone (in)."
    ),
]
Cell = Annotated[
    Annotated[int, Field(ge=16, le=8192)] | None,
    Flag(
        "Side of the statistics cells: the patch size the generator was trained on.",
        GEOMETRY,
        "PX",
        "the generator's own, or 512",
    ),
]
Tile = Annotated[
    Annotated[int, Field(ge=16, le=16384)] | None,
    Auto,
    Flag(
        "Side of the tiles computed at once; affects speed and memory, not the result.",
        GEOMETRY,
        "PX|auto",
        "auto",
    ),
]
Overlap = Annotated[
    Annotated[int, Field(ge=0, le=8192)] | None,
    Auto,
    Flag(
        "Px that tiles share at least if they are blended, as of generators whose output "
        "depends on where a tile begins; a number blends tiles of any generator.",
        GEOMETRY,
        "PX|auto",
        "auto: a quarter of the tile",
    ),
]
BlendChoice = Annotated[
    Blend,
    Flag("Weights of blended tiles: ramps (linear, cosine), or by distance (centre).", GEOMETRY),
]
Batch = Annotated[
    Annotated[int, Field(ge=1, le=256)] | None,
    Auto,
    Flag(
        "Number of tiles computed together.",
        MACHINE,
        "N|auto",
        "auto: 1 on a CPU, on a GPU by its memory",
    ),
]
Device = Annotated[
    str,
    Flag(
        "Where the generator runs; several devices (cuda:0,cuda:1) share the work.",
        MACHINE,
        "auto|cpu|cuda:N",
    ),
]
Precision = Annotated[
    Literal["fp32", "bf16", "fp16", "auto"],
    Flag(
        "Precision of the convolutions; sums are always fp32. auto: the fastest one that stays "
        "within one grey level of fp32 on a sample of the image.",
        MACHINE,
    ),
]
