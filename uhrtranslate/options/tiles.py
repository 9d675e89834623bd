"""Options of cutting slides into patches, alone and in pairs."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from uhrtranslate.flag import GEOMETRY, IMAGE, METHOD, Flag
from uhrtranslate.options.images import Level, Mpp, SourceMpp, SourcePower, refuse_both

Share = Annotated[float, Field(ge=0, le=1)]
Size = Annotated[int, Field(ge=16, le=8192)]
SIZE = Flag("Side of the patches.", GEOMETRY, "PX")


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
