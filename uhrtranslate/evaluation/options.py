"""What a user can choose of an evaluation."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from uhrtranslate.options import Region

# px between borders that leave places clear of strips on both sides.
SMALLEST_GRID = 33


def parse_grid(value: object) -> object:
    """`"auto"` as it is, digits as a number."""
    return int(value) if isinstance(value, str) and value.isdigit() else value


class EvaluateOptions(BaseModel):
    """What to measure, and against what.

    Attributes:
        source: what was translated: an image, or a folder of images of the same names.
        truth: the paired truth, likewise.
        baseline: the same translation with plain IN of each cell, likewise.
        reference: real images of the target domain, a population: an image or a folder.
        grid: px between tile borders from the image's upper left corner; auto: search.
        level, mpp, region: of the evaluated image, see `open_view`; region in its level-0 px.
        shift: px by which truth may be misaligned.
        weights: file of InceptionV3 for FID; None: an extractor that needs none.
        lpips: files of the LPIPS backbone and of its heads.
        niqe: a model of NIQE; None: fitted to the reference, if there is one.
        save_niqe: where to write the fitted model.
        domain: train a classifier of source and reference.
        patch, patches, seeds, seed: see `Sampling`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    source: Path | None = None
    truth: Path | None = None
    baseline: Path | None = None
    reference: Path | None = None
    grid: Annotated[
        Literal["auto"] | Annotated[int, Field(ge=SMALLEST_GRID, le=65536)],
        BeforeValidator(parse_grid),
    ] = "auto"
    level: Annotated[int | None, Field(ge=0)] = None
    mpp: Annotated[float | None, Field(gt=0)] = None
    region: Region | None = None
    shift: Annotated[int, Field(ge=0, le=64)] = 0
    weights: Path | None = None
    lpips: tuple[Path, Path] | None = None
    niqe: Path | None = None
    save_niqe: Path | None = None
    domain: bool = False
    patch: Annotated[int, Field(ge=64, le=2048)] = 256
    patches: Annotated[int, Field(ge=8, le=100_000)] = 500
    seeds: Annotated[int, Field(ge=1, le=100)] = 3
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.shift and self.truth is None:
            raise ValueError("a shift is of paired truth; name it with --truth")
        if self.domain and (self.source is None or self.reference is None):
            raise ValueError("domain needs real images of both domains: --source and --reference")
        if self.save_niqe is not None and (self.niqe is not None or self.reference is None):
            raise ValueError("save_niqe writes what is fitted to a --reference, without --niqe")
        if self.weights is not None and self.reference is None:
            raise ValueError("weights are for FID; name real images with --reference")
        if self.lpips is not None and self.source is None and self.truth is None:
            raise ValueError("lpips compares with --truth or --source; name one")
        return self
