"""Options of cutting slides into patches, alone and in pairs."""

from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from uhrtranslate.flag import GEOMETRY, IMAGE, METHOD, Flag, parse_shares
from uhrtranslate.options.clusters import Cluster, WithoutTls
from uhrtranslate.options.images import Level, Mpp, SourceMpp, SourcePower, refuse_both

Share = Annotated[float, Field(ge=0, le=1)]
Size = Annotated[int, Field(ge=16, le=8192)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
SIZE = Flag("Side of the patches.", GEOMETRY, "PX")
REGISTRATION = "Registration"
# Engines of the non-rigid step of registration, see `registration.engines`.
RegistrationEngine = Literal["auto", "convex", "simpleitk", "elastix", "none"]
# How pixels between pixels are found where a slide is warped: by cubic convolution, or linearly.
Sampling = Literal["cubic", "linear"]


def _some(shares: tuple[float, float, float]) -> tuple[float, float, float]:
    if shares[0] <= 0:
        raise ValueError("must leave something for train, as 70,15,15")
    return shares


class TileOptions(BaseModel):
    """How slides are cut."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[Size, SIZE] = 512
    overlap: Annotated[
        Annotated[int, Field(ge=0)], Flag("Overlap of neighbouring patches.", GEOMETRY, "PX")
    ] = 0
    tissue: Annotated[Share, Flag("Least share of tissue in a patch.", METHOD, "0-1")] = 0.25
    level: Level = None
    mpp: Mpp = None
    source_mpp: SourceMpp = None
    source_power: SourcePower = None
    allow_sparse: Annotated[
        bool, Flag("Accept TIFFs that lack nearly all of their tiles.", IMAGE)
    ] = False
    cluster: Cluster = None
    without_tls: WithoutTls = False

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.overlap >= self.size:
            raise ValueError(f"overlap {self.overlap} must be smaller than size {self.size}")
        refuse_both(self, "level", "mpp")
        refuse_both(self, "source_mpp", "source_power")
        return self


class PairTileOptions(TileOptions):
    """How pairs of slides are cut that a transform lays on each other."""

    size: Annotated[Size, SIZE] = 1024
    ncc: Annotated[
        Annotated[float, Field(ge=-1, le=1)],
        Flag("Least local correlation of two patches of a transform; -1 keeps all.", METHOD, "F"),
    ] = 0.2
    tissue_overlap: Annotated[
        Share, Flag("Least share of the tissue of either that both have.", METHOD, "0-1")
    ] = 0.5
    doubtful: Annotated[
        bool, Flag("Also cut pairs of a table whose registration is doubtful.", METHOD)
    ] = False


class PairsOptions(PairTileOptions):
    """How a data set of pairs is made of slides: registered, cut, and split."""

    engine: Annotated[
        RegistrationEngine,
        Flag(
            "Non-rigid step of registration: our own (convex, auto), B-splines by an extra "
            "(simpleitk, elastix), or none.",
            REGISTRATION,
        ),
    ] = "auto"
    rounds: Annotated[
        Annotated[int, Field(ge=1, le=4)],
        Flag("Rounds of it, each twice as fine.", REGISTRATION, "1-4"),
    ] = 3
    mirror: Annotated[bool, Flag("Also try sections turned over.", REGISTRATION)] = False
    pages: Annotated[bool, Flag("Write a page about each registration.", REGISTRATION)] = True
    split: Annotated[
        Annotated[
            tuple[Weight, Weight, Weight], BeforeValidator(parse_shares), AfterValidator(_some)
        ],
        Flag(
            "Shares of slides for train, validation and test; only their ratios count.",
            METHOD,
            "A,B,C",
            "70,15,15",
        ),
    ] = (70.0, 15.0, 15.0)
    seed: Annotated[
        Annotated[int, Field(ge=0)], Flag("Of the split, and of the registration's draws.", METHOD)
    ] = 0
