"""Options of an evaluation."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from uhrtranslate.flag import Flag
from uhrtranslate.io import Source, as_source
from uhrtranslate.options import (
    Cluster,
    Level,
    Mpp,
    Part,
    SourceMpp,
    SourcePower,
    WithoutTls,
    refuse_both,
)

# Borders must be so many px apart, to leave room between the strips beside them.
SMALLEST_GRID = 33
# Headings of the help.
SEAMS, AGAINST, PATCHES, OUTPUT = "Seams", "Compared with", "Patches", "Output"
STAIN = "Stain (DAB)"


# An image or folder; an image may be named by its URL.
Image = Annotated[Source | None, BeforeValidator(as_source)]


def _against(text: str, metavar: str = "IMAGE|FOLDER") -> Flag:
    return Flag(text, AGAINST, metavar)


def parse_grid(value: object) -> object:
    """Turn digits into a number; leave `"auto"` as it is."""
    return int(value) if isinstance(value, str) and value.isdigit() else value


class EvaluateOptions(BaseModel):
    """What to measure, and against what."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    source: Annotated[Image, _against("What was translated: is structure and colour kept?")] = None
    truth: Annotated[Image, _against("Paired truth: PSNR, SSIM, MS-SSIM, LPIPS.")] = None
    reference: Annotated[
        Image,
        _against("Real images of the target domain, unpaired: FID, KID, precision, recall, NIQE."),
    ] = None
    baseline: Annotated[
        Image, _against("The same with --norm in: shows what is over- or under-coloured.")
    ] = None
    retiled: Annotated[
        Image, _against("The same translation with other tiles: how far two tilings differ.")
    ] = None
    grid: Annotated[
        Literal["auto", "search"] | Annotated[int, Field(ge=SMALLEST_GRID, le=65536)],
        BeforeValidator(parse_grid),
        Flag(
            "Tiles of this size from the corner; search: find them; auto: the cells that a result "
            "of uhrt names in its tags, else search.",
            SEAMS,
            "auto|search|PX",
        ),
    ] = "auto"
    transform: Annotated[
        Path | None,
        _against("Shows the truth in this frame: what uhrt register found for the two.", "JSON"),
    ] = None
    shift: Annotated[
        int, Field(ge=0, le=64), _against("How far the truth may be misaligned.", "PX")
    ] = 0
    dab_threshold: Annotated[
        float,
        Field(gt=0, le=1),
        Flag("DAB above which a pixel is positive, as of scikit-image's rgb2hed.", STAIN, "DAB"),
    ] = 0.07
    dab_close: Annotated[
        int,
        Field(ge=0, le=16),
        Flag("Times that a positive mask is dilated, then eroded.", STAIN, "N"),
    ] = 2
    dab_median: Annotated[
        int,
        Field(ge=1, le=31),
        Flag("Side of the square whose majority decides; odd.", STAIN, "PX"),
    ] = 5
    dab_tile: Annotated[
        Literal[64, 128, 256, 512, 1024],
        BeforeValidator(parse_grid),
        Flag("Side of the tiles whose densities are compared.", STAIN, "PX"),
    ] = 256
    classes: Annotated[
        Path | None,
        Flag(
            "Table of image and class (0, 1+, 2+, 3+): is more stained in higher ones?",
            STAIN,
            "CSV",
        ),
    ] = None
    nuclei: Annotated[
        bool, _against("Find nuclei here, in the source and in the truth: do they agree?")
    ] = False
    nuclei_model: Annotated[
        Path | None,
        _against("Network of Cellpose 3 that finds them; by default, a small detector.", "FILE"),
    ] = None
    weights: Annotated[
        Path | None,
        _against("InceptionV3 for FID; by default, an extractor without weights.", "PTH"),
    ] = None
    lpips: Annotated[
        tuple[Path, Path] | None, _against("AlexNet or VGG16, and LPIPS' linear heads.", "PTH PTH")
    ] = None
    niqe: Annotated[
        Path | None, _against("NIQE's model; by default, one is fitted to the reference.", "JSON")
    ] = None
    save_niqe: Annotated[Path | None, Flag("Also write the fitted NIQE model.", OUTPUT, "JSON")] = (
        None
    )
    domain: Annotated[
        bool, Flag("Train a classifier on source and reference, and apply it.", AGAINST)
    ] = False
    patch: Annotated[int, Field(ge=64, le=2048), Flag("Side of a patch.", PATCHES, "PX")] = 256
    patches: Annotated[
        int,
        Field(ge=8, le=100_000),
        Flag("Patches of each population; fewer of small images, unless given.", PATCHES, "N"),
    ] = 500
    seeds: Annotated[
        int, Field(ge=1, le=100), Flag("Draws of patches, for intervals.", PATCHES, "N")
    ] = 3
    seed: Annotated[int, Field(ge=0, lt=2**31), Flag("Seed of the first draw.", PATCHES, "N")] = 0
    level: Level = None
    mpp: Mpp = None
    source_mpp: SourceMpp = None
    source_power: SourcePower = None
    region: Part = None
    cluster: Cluster = None
    without_tls: WithoutTls = False

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        refuse_both(self, "source_mpp", "source_power")
        if self.shift and self.truth is None:
            raise ValueError("a shift is of paired truth; name it with --truth")
        if self.transform is not None and self.truth is None:
            raise ValueError("a transform shows the truth in another frame; name that with --truth")
        if self.dab_median % 2 == 0:
            raise ValueError(
                f"dab_median {self.dab_median} is even; a square around a pixel is odd"
            )
        if self.nuclei and self.source is None and self.truth is None:
            raise ValueError("nuclei are compared with those of --truth or --source; name one")
        if self.nuclei_model is not None and not self.nuclei:
            raise ValueError("nuclei_model finds what nuclei compares; give both")
        if self.domain and (self.source is None or self.reference is None):
            raise ValueError("domain needs real images of both domains: --source and --reference")
        if self.save_niqe is not None and (self.niqe is not None or self.reference is None):
            raise ValueError("save_niqe writes what is fitted to a --reference, without --niqe")
        if self.weights is not None and self.reference is None:
            raise ValueError("weights are for FID; name real images with --reference")
        if self.lpips is not None and self.source is None and self.truth is None:
            raise ValueError("lpips compares with --truth or --source; name one")
        return self
