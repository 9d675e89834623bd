"""Options of sampling latent diffusion models: images of a class, and real ones made larger."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from uhrtranslate.flag import GEOMETRY, IMAGE, MACHINE, Flag, parse_size
from uhrtranslate.options.images import ImageOptions
from uhrtranslate.options.networks import Auto, Batch, Blend, Device
from uhrtranslate.tables import SAMPLERS

if TYPE_CHECKING:
    Sampler: TypeAlias = str
else:
    Sampler = Literal[tuple(SAMPLERS)]


class DiffusionOptions(ImageOptions):
    """How the latents of an image are sampled."""

    model: Annotated[
        str | None,
        Flag(
            "Latent diffusion model: what uhrt train wrote, or a folder of diffusers.",
            metavar="M",
            short="-m",
        ),
    ] = None
    prompt: Annotated[
        str | None,
        Flag("Class to show, a name that the model knows.", metavar="NAME", switch="--class"),
    ] = None
    strength: Annotated[
        Annotated[float, Field(ge=0, le=1)],
        Flag(
            "How much is made anew: share of the steps for which what is enlarged is noised; 0 "
            "only encodes and decodes it.",
            metavar="0-1",
        ),
    ] = 0.5
    guidance: Annotated[
        Annotated[float, Field(ge=0, le=50)],
        Flag("How much the class counts; 1 is as trained, more exaggerates.", metavar="F"),
    ] = 3.0
    sampler: Annotated[Sampler, Flag("DDIM, or DPM-Solver++ (2M), which needs fewer steps.")] = (
        "ddim"
    )
    steps: Annotated[
        Annotated[int, Field(ge=1, le=1000)], Flag("Steps from noise to image.", metavar="N")
    ] = 50
    eta: Annotated[
        Annotated[float, Field(ge=0, le=1)],
        Flag("Noise that steps of DDIM add; 0 adds none, 1 is DDPM.", metavar="0-1"),
    ] = 0.0
    seed: Annotated[Annotated[int, Field(ge=0, lt=2**63)], Flag("Of the noise.", metavar="N")] = 0
    overlap: Annotated[
        Annotated[int, Field(ge=0, le=8192)] | None,
        Auto,
        Flag(
            "Px of the result that neighbouring tiles share at least.",
            GEOMETRY,
            "PX|auto",
            "auto: half a tile",
        ),
    ] = None
    blend: Annotated[
        Blend,
        Flag(
            "Weights of tiles: ramps that fall to 0 (linear, cosine), or by distance (centre, the "
            "paper's, which leaves seams).",
            GEOMETRY,
        ),
    ] = "linear"
    batch: Batch = None
    device: Device = "auto"
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"], Flag("Precision of the networks.", MACHINE)
    ] = "fp32"

    @model_validator(mode="before")
    @classmethod
    def _class_is_the_prompt(cls, values: Any) -> Any:
        if isinstance(values, dict) and "class" in values:  # in YAML; a word of Python's
            given = {name: value for name, value in values.items() if name != "class"}
            return {"prompt": values["class"], **given}
        return values

    @model_validator(mode="after")
    def _sampler_fits(self) -> Self:
        if self.eta and self.sampler != "ddim":
            raise ValueError(f"eta is for the sampler ddim; {self.sampler} adds no noise")
        return self


def _whole(size: tuple[int, int]) -> tuple[int, int]:
    if min(size) < 1 or max(size) > 1_000_000:
        raise ValueError("must be two sides of 1 to 1,000,000 px, as 2048x2048")
    return size


class SynthesizeOptions(DiffusionOptions):
    """How images are made out of noise."""

    size: Annotated[
        Annotated[tuple[int, int], BeforeValidator(parse_size), AfterValidator(_whole)],
        Flag("Width and height of each image in px.", IMAGE, "WxH", "2048x2048"),
    ] = (2048, 2048)
    count: Annotated[
        Annotated[int, Field(ge=1, le=1_000_000)],
        Flag("How many; seeds count up from --seed.", IMAGE, "N", short="-n"),
    ] = 1
    layout: Annotated[
        Path | None,
        Flag("Your own overview, in place of a synthesized one.", IMAGE, "IMAGE"),
    ] = None
    png: Annotated[
        bool, Flag("Write PNG in place of pyramids into the folder; held in memory.", MACHINE)
    ] = False

    @model_validator(mode="after")
    def _layout_is_used(self) -> Self:
        if self.layout is not None and self.strength == 1:
            raise ValueError("strength 1 leaves nothing of a layout; choose less, such as 0.5")
        return self


class UpscaleOptions(DiffusionOptions):
    """How real images are made larger."""

    factor: Annotated[
        Annotated[int, Field(ge=2, le=16)], Flag("How many times as large.", IMAGE, "N")
    ] = 4

    @model_validator(mode="after")
    def _something_is_left(self) -> Self:
        if self.strength == 1:
            raise ValueError("strength 1 leaves nothing of the image; choose less, such as 0.5")
        return self
