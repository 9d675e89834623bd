"""What a user can choose: validated once, for the command line, YAML files and Python alike."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from uhrtranslate.errors import OptionError
from uhrtranslate.tables import COMPRESSIONS, FORMATS, NORMALIZERS, STAIN_METHODS

if TYPE_CHECKING:
    Norm: TypeAlias = str
    StainMethod: TypeAlias = str
    Format: TypeAlias = str
    Compression: TypeAlias = str
else:
    Norm = Literal[tuple(NORMALIZERS)]
    # Two networks beside the methods: one that knows its own target, and any generator.
    StainMethod = Literal[(*STAIN_METHODS, "stainnet", "model")]
    Format = Literal[tuple(FORMATS)]
    Compression = Literal[tuple(COMPRESSIONS)]
Pad = Literal["context", "reflect"]
KernelType = Literal["constant", "gaussian"]
ThumbnailShape = Literal["aspect", "square"]
StatsPrecision = Literal["fp32", "bf16", "fp16"]
Precision = Literal["fp32", "bf16", "fp16", "auto"]
Colour = tuple[int, int, int]


def parse_region(value: object) -> object:
    """`"X,Y,W,H"` as four integers; anything else is left to the validation."""
    if isinstance(value, str):
        try:
            return tuple(int(part) for part in value.split(","))
        except ValueError:
            raise ValueError("must be four whole numbers X,Y,W,H in level-0 pixels") from None
    return value


def parse_auto(value: object) -> object:
    """`"auto"` as None, text as a number."""
    if isinstance(value, str):
        return None if value == "auto" else int(value) if value.isdigit() else value
    return value


Region = Annotated[tuple[int, int, int, int], BeforeValidator(parse_region)]
Tile = Annotated[Annotated[int, Field(ge=16, le=16384)] | None, BeforeValidator(parse_auto)]
Batch = Annotated[Annotated[int, Field(ge=1, le=256)] | None, BeforeValidator(parse_auto)]
Halo = Annotated[Annotated[int, Field(ge=0, le=4096)] | None, BeforeValidator(parse_auto)]


class ImageOptions(BaseModel):
    """What all tasks that make an image of an image have in common.

    Attributes:
        level: pyramid level to work on.
        mpp: micrometres per pixel to work at.
        region: x, y, w, h in level-0 pixels.
        allow_sparse: take TIFFs of which nearly all tiles are missing.
        mask: none, auto (tissue is found in a thumbnail), or a file: an image over the whole
            slide, or QuPath's GeoJSON.
        background: what stands where the mask has no tissue: keep (the source's pixels), white, or
            a colour as #f0f0f0.
        format: of slides; None: by the output's ending, tiff without one.
        compression: of TIFF outputs.
        quality: of JPEG, 1 to 100.
        keep_associated: copy thumbnail, label and macro image; labels may carry names.
        preview: also write a PNG with source and result side by side.
        overwrite: replace existing outputs.
        resume: go on where an unfinished run was cut off, and skip what is complete.
        skip_existing: skip inputs whose output is there and complete; incomplete ones are made
            again.
        workers: threads that read, and threads that encode.
        profile: file for a trace of where the time goes, for chrome://tracing; with several inputs
            the others get numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Annotated[int | None, Field(ge=0)] = None
    mpp: Annotated[float | None, Field(gt=0)] = None
    region: Region | None = None
    allow_sparse: bool = False
    mask: str = "none"
    background: str = "white"
    format: Format | None = None
    compression: Compression = "jpeg"
    quality: Annotated[int, Field(ge=1, le=100)] = 90
    keep_associated: bool = False
    preview: bool = False
    overwrite: bool = False
    resume: bool = False
    skip_existing: bool = False
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    profile: Path | None = None

    @model_validator(mode="after")
    def _exclude_each_other(self) -> Self:
        if self.level is not None and self.mpp is not None:
            raise ValueError("level and mpp exclude each other")
        if self.overwrite and self.skip_existing:
            raise ValueError("overwrite and skip_existing exclude each other")
        return self


class TranslateOptions(ImageOptions):
    """How images are translated; None means that the default depends on generator or image.

    Attributes:
        model: bundled generator, checkpoint file, or `package.module:factory`.
        norm: normalizer that replaces instance norm.
        cell: side of the statistics cells in px; None: what the generator was trained on, or 512.
        tile: side of what the device computes at once in px; None: by the generator's memory.
        halo: px of true neighbours (pad context) or of mirroring (pad reflect) around a tile;
            None: measured (context), 16 for dn and 0 for the others (reflect).
        pad: context is independent of tiles; reflect is the published geometry.
        kernel: side of KIN's kernel in cells, odd.
        kernel_type: KIN's kernel.
        thumbnail: TIN's thumbnail, of the image's aspect or square as in the public code.
        batch: tiles that are computed together; None: 1 on a CPU, on a GPU by its memory.
        device: auto, cpu, cuda or cuda:N; several, as cuda:0,cuda:1, share the work.
        at_once: images that are worked on at once; None: as many as there are devices.
        precision: of the convolutions; means and variances are always summed up in fp32. auto is
            the fastest that is less than a grey level from fp32 on a probe of the image.
        stats_precision: the same for the forwards that only give statistics; None: as precision.
        compile: let torch compile the generator, which takes a minute or two and makes it faster.
    """

    model: str = "he2ihc"
    norm: Norm = "dn"
    cell: Annotated[int | None, Field(ge=16, le=8192)] = None
    tile: Tile = None
    halo: Halo = None
    pad: Pad = "context"
    kernel: Annotated[int, Field(ge=1, le=99)] = 3
    kernel_type: KernelType = "constant"
    thumbnail: ThumbnailShape = "aspect"
    batch: Batch = None
    device: str = "auto"
    at_once: Annotated[int | None, Field(ge=1, le=64)] = None
    precision: Precision = "fp32"
    stats_precision: StatsPrecision | None = None
    compile: bool = False

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, not {self.kernel}")
        if self.pad == "reflect" and self.tile is not None and self.tile != self.cell:
            raise ValueError("tile cannot be chosen with pad reflect: every cell is a tile")
        return self


class StainOptions(ImageOptions):
    """How stains are normalized.

    Attributes:
        method: how.
        fit: of the source, once per slide, or for each tile (seams; for comparison).
        samples: tissue pixels that a slide's fit is made of.
        seed: of the draw of these pixels.
        model: weights of a StainNet, for the method stainnet; or any generator that
            `uhrt translate` takes, for the method model, which is that command.
        little_tissue: slides with almost no tissue are copied, or skipped.
    """

    method: StainMethod = "macenko"
    fit: Literal["slide", "tile"] = "slide"
    samples: Annotated[int, Field(ge=1000, le=10_000_000)] = 100_000
    seed: Annotated[int, Field(ge=0)] = 0
    model: str | None = None
    little_tissue: Literal["copy", "skip"] = "copy"

    @model_validator(mode="after")
    def _model_for_stainnet(self) -> Self:
        if (self.method in ("stainnet", "model")) != (self.model is not None):
            raise ValueError("model is for the methods stainnet and model, which need it")
        return self


class EnhanceOptions(ImageOptions):
    """How dark-field images are enhanced.

    Attributes:
        invert: what is brightest becomes darkest, as the paper has it; else plain matching.
        colour: keep the source's chroma, else grey.
        clip: share of the brightest pixels, hot ones of a camera, that do not count.
        pool: one histogram for all inputs, so that they stay comparable.
        synthesize: make dark-field images of bright-field ones.
        bits: of results, 8 or 16; inputs are read with all the bits they have. With 16 the
            compression is deflate unless another lossless one is chosen.
    """

    invert: bool = True
    colour: bool = False
    clip: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    pool: bool = False
    synthesize: bool = False
    bits: Literal[8, 16] = 8

    @model_validator(mode="before")
    @classmethod
    def _lossless(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("bits") == 16:
            return {"compression": "deflate", **values}
        return values

    @model_validator(mode="after")
    def _sixteen_bits_fit(self) -> Self:
        if self.bits != 8:  # which all of them hold: the formats are loaded late
            for kind, name, table in (
                ("compression", self.compression, COMPRESSIONS),
                ("format", self.format, FORMATS),
            ):
                if name is not None and self.bits not in table[name].bits:
                    fit = ", ".join(other for other in table if self.bits in table[other].bits)
                    raise ValueError(f"{name} holds 8 bits; choose another {kind}: {fit}")
        return self


Options = TypeVar("Options", bound=BaseModel)


def parse_background(text: str) -> Colour | None:
    """What stands in place of cells without tissue.

    Args:
        text: `keep` for the image's own pixels, or a colour: a name of CSS, `#rrggbb`, or `R,G,B`.

    Returns:
        RGB in 0..255; None for `keep`.

    Raises:
        OptionError: it is none of these.
    """
    from PIL import ImageColor  # loaded late: the command line asks for options before it works

    wrong = OptionError(
        f"--background {text}: must be keep, white or a colour, as #f3f3f3, 243,243,243 or ivory."
    )
    if text == "keep":
        return None
    try:
        if "," in text and "(" not in text:
            colour = tuple(int(part) for part in text.split(","))
        else:
            colour = ImageColor.getrgb(text)
    except ValueError:
        raise wrong from None
    if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
        raise wrong
    return colour[0], colour[1], colour[2]


def make_options(values: dict[str, Any]) -> TranslateOptions:
    """Validate options of a translation; see `validated`."""
    return validated(TranslateOptions, values)


def validated(kind: type[Options], values: dict[str, Any]) -> Options:
    """Validate options.

    Args:
        kind: of which task.
        values: by name.

    Raises:
        OptionError: names the first wrong option and what it may be.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][:1]) or "options"
        message = first["msg"].removeprefix("Value error, ")
        shown = f" (got {first['input']!r})" if first["loc"] else ""
        raise OptionError(f"{name}: {message[:1].lower()}{message[1:]}{shown}.") from error


def read_config(path: Path) -> dict[str, Any]:
    """Options from a YAML file: a mapping of option names, with - or _ in them.

    Raises:
        OptionError: the file is missing or no such mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise OptionError(f"{path}: cannot be read as YAML ({reason}).") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise OptionError(f"{path}: must be a mapping of options, as 'norm: dn'.")
    return {str(key).replace("-", "_"): value for key, value in content.items()}
