"""Options of every training: data, networks, schedule."""

from inspect import signature
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)
from torch import nn

from uhrtranslate.enhance import channels_of
from uhrtranslate.errors import OptionError
from uhrtranslate.io.files.remote import is_url, shown_url
from uhrtranslate.models.family import Family
from uhrtranslate.models.swin_unet import check_levels
from uhrtranslate.options import Region, SourceMpp, SourcePower, refuse_both
from uhrtranslate.tables import GENERATOR_FAMILIES, PLANES
from uhrtranslate.training.data.tables import is_table

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Levels = tuple[Annotated[int, Field(ge=0, le=4096)], ...]
# Channels of one head of attention in Swin.
HEAD = 32


def _here(value: object) -> object:
    # Not a ValueError, whose message would repeat the value, which may hold what is secret.
    if is_url(value):
        raise OptionError(
            f"{shown_url(str(value))}: is not read over the network, as patches are read many "
            "times; download it, or cut it into patches with 'uhrt tiles'."
        )
    return value


Images = Annotated[Path, BeforeValidator(_here)]


class Section(BaseModel):
    """Options that belong together; a section of a configuration file."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class DrawOptions(Section):
    """How patches are drawn from images.

    Attributes:
        patch: side of training patches in px, which becomes the model's cell.
        mpp, level: resolution of the patches; level 0 by default.
        source_mpp, source_power: what the images' level 0 has, where they do not say it or are
            wrong: micrometres per pixel, or the objective's power, which by convention is 10 um/px
            divided by it.
        tissue: least share of tissue in a patch; 0 takes patches from anywhere, for photos.
        flip: mirror half of the patches left to right.
        rotate: turn patches by a random multiple of 90 degrees.
        jitter: greatest change of each channel's gain; its offset changes by up to half of that.
            In a pair, only the source is changed.
        epoch: patches per epoch; None: as many as fit side by side into the tissue (of a).
        workers: threads that read and augment.
    """

    patch: Annotated[int, Field(ge=16, le=4096)] = 512
    mpp: Annotated[float | None, Field(gt=0)] = None
    level: Annotated[int | None, Field(ge=0)] = None
    source_mpp: SourceMpp = None
    source_power: SourcePower = None
    tissue: Share = 0.25
    flip: bool = True
    rotate: bool = False
    jitter: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    epoch: Count | None = None
    workers: Annotated[int, Field(ge=1, le=64)] = 4

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        refuse_both(self, "mpp", "level")
        refuse_both(self, "source_mpp", "source_power")
        return self


class DataOptions(DrawOptions):
    """Where patches of two domains come from.

    Attributes:
        a, b: source and target domain: a folder, an image or a pattern such as `he/*.svs`. Or a is
            a table of both: `tiles.csv` of uhrt tiles or uhrt pairs, or `pairs.csv` of uhrt
            register, from whose slides aligned patches are drawn; then b is left out.
        pairs: how paired methods find partners. folders: images of equal names and sizes in a and
            b; slides: the same, but b is resized to a, for two scans of one section;
            side-by-side: each image in a has the source left and the target right, and b is empty.
        split: which part of a table with splits is used.
        ncc: least local correlation of the patches of a table's pairs, -1 to 1; None: of patches
            that are listed, all that were cut; of slides, 0.2.
    """

    a: Images
    b: Images | None = None
    pairs: Literal["folders", "slides", "side-by-side"] = "folders"
    split: Literal["train", "validation", "test"] = "train"
    ncc: Annotated[float | None, Field(ge=-1, le=1)] = None


class GeneratorOptions(Section):
    """The network to train, of a family that `uhrt translate` runs.

    Attributes:
        architecture: resnet, unet or swin-unet.
        inputs: what it takes, made of the source's pixels: names in `tables.PLANES`.
        ngf: channels after the first convolution.
        blocks: residual blocks of a resnet.
        downs: halvings of a unet; patches are multiples of 2**downs.
        norm: instance (plain at training, replaced by a normalizer at inference) or batch.
        affine: whether instance norms have weight and bias.
        dropout: at 0.5, in residual blocks or the inner levels of a unet.
        antialias: halve and double with a fixed blur (resnet).
        init: of weights, normal or xavier.
        init_up: of transposed convolutions: as `init`, or linear, the same weights at each pixel
            that they double, as of a linear interpolation.
        width: channels of a swin-unet at half of the size; they double with each further level.
        depths: its blocks at 1/2, 1/4, ... of the size; patches are multiples of 2**levels.
        up_depths: the same of its decoder, one level less; None: as `depths`.
        heads: of attention at each level; None: one for each 32 channels.
        window: side of its windows in features.
        mlp: hidden channels of its perceptrons, as a multiple.
        drop_path: greatest share of samples that skip a block.
        deep: whether coarser features of it give pictures, too, for deep supervision.
    """

    architecture: Literal["resnet", "unet", "swin-unet"] = "resnet"
    inputs: tuple[str, ...] = ("rgb",)
    ngf: Annotated[int, Field(ge=1, le=512)] = 64
    blocks: Annotated[int, Field(ge=1, le=50)] = 9
    downs: Annotated[int, Field(ge=5, le=12)] = 8
    norm: Literal["instance", "batch"] = "instance"
    affine: bool = False
    dropout: bool = False
    antialias: bool = False
    init: Literal["normal", "xavier"] = "normal"
    init_up: Literal["init", "linear"] = "init"
    width: Annotated[int, Field(ge=1, le=512)] = 48
    depths: Levels = (2, 2, 2, 2, 2)
    up_depths: Levels | None = None
    heads: Levels | None = None
    window: Annotated[int, Field(ge=2, le=32)] = 8
    mlp: Annotated[int, Field(ge=1, le=16)] = 4
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.2
    deep: bool = True

    @model_validator(mode="after")
    def _levels_fit(self) -> Self:
        if self.architecture == "swin-unet":
            levels = self._levels()
            check_levels(
                self.width, levels["depths"], levels["up_depths"], levels["heads"], self.window
            )
        return self

    def _levels(self) -> dict[str, tuple[int, ...]]:
        """Sizes of a swin-unet's levels, with those that were not given."""
        channels = [self.width * 2**level for level in range(len(self.depths))]
        heads = tuple(max(c // HEAD, 1) if c % HEAD == 0 else 1 for c in channels)
        return {
            "depths": self.depths,
            "up_depths": self.depths[:-1] if self.up_depths is None else self.up_depths,
            "heads": heads if self.heads is None else self.heads,
        }

    @field_validator("inputs")
    @classmethod
    def _inputs_are_planes(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        offered = [name for name, plane in PLANES.items() if plane.channels]
        if not names or not set(names) <= set(offered):
            raise ValueError(f"must be a list of {', '.join(offered)}")
        return names

    @property
    def backwards(self) -> Self:
        """The same network for the way back, which starts from colours."""
        return self.model_copy(update={"inputs": ("rgb",)})

    @property
    def family(self) -> Family:
        """The family that the generator belongs to."""
        family: Family = GENERATOR_FAMILIES[self.architecture]
        return family

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the family's network: those of these options that it takes."""
        every = {
            **self._levels(),
            "in_channels": channels_of(self.inputs),
            "width": self.width,
            "window": self.window,
            "mlp": self.mlp,
            "drop_path": self.drop_path,
            "deep": self.deep,
            "ngf": self.ngf,
            "dropout": self.dropout,
            "affine": self.affine and self.norm == "instance",
            "norm": self.norm,
            "bias": self.norm == "instance",
            "n_downs": self.downs,
            "n_blocks": self.blocks,
            "antialias": self.antialias,
            "antialias_up": self.antialias,
        }
        taken = signature(self.family.build).parameters
        return {name: value for name, value in every.items() if name in taken}

    def build(self) -> nn.Module:
        """The network, with torch's random weights."""
        return self.family.build(**self.arguments())


class DiscriminatorOptions(Section):
    """The PatchGAN discriminator; with 3 layers it sees 70 x 70 px.

    Attributes:
        ndf: channels after the first convolution.
        layers: halvings.
        norm: instance or batch.
        antialias: halve with a fixed blur.
        init: of weights, normal or xavier.
    """

    ndf: Annotated[int, Field(ge=1, le=512)] = 64
    layers: Annotated[int, Field(ge=1, le=6)] = 3
    norm: Literal["instance", "batch"] = "instance"
    antialias: bool = False
    init: Literal["normal", "xavier"] = "normal"


class ValidationOptions(Section):
    """A part of a slide that is translated by the engine every few epochs.

    Attributes:
        image: of the source domain.
        region: x, y, w, h in level-0 px; None for all of it.
        every: epochs between two translations.
    """

    image: Images
    region: Region | None = None
    every: Count = 10


class RunOptions(Section):
    """Options that all methods have, whatever they train.

    Attributes:
        method: name in `TRAINING_METHODS`.
        description: a sentence for people, stored with what is trained.
        data: section, see its class.
        epochs, decay: epochs at the full learning rate, then falling linearly to zero.
        batch: patches (of each domain) per step and device.
        lr: learning rate.
        betas: of Adam.
        clip: greatest norm of the gradient of each group of networks; None: not clipped.
        ema: decay of the exponential mean of the weights that is exported instead of them; None:
            without.
        precision: fp32, bf16 or fp16 (with loss scaling) of forward passes.
        device: auto, cpu, cuda or cuda:N.
        seed: of all random numbers.
        log: steps between lines of the log.
        samples: epochs between pictures.
        checkpoint: epochs between checkpoints.
        checkpoint_steps: steps between checkpoints, instead of epochs.
        keep: how many checkpoints to keep.
        tensorboard: also log to TensorBoard (needs the extra `train`).
    """

    method: str
    description: Annotated[str, Field(max_length=1500)] = ""
    data: DrawOptions
    epochs: Annotated[int, Field(ge=0)] = 50
    decay: Annotated[int, Field(ge=0)] = 50
    batch: Annotated[int, Field(ge=1, le=1024)] = 1
    lr: Annotated[float, Field(gt=0, le=1)] = 2e-4
    betas: tuple[Beta, Beta] = (0.5, 0.999)
    clip: Annotated[float | None, Field(gt=0)] = None
    ema: Annotated[float | None, Field(gt=0, lt=1)] = None
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    device: str = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    log: Count = 50
    samples: Count = 1
    checkpoint: Count = 5
    checkpoint_steps: Count | None = None
    keep: Count = 3
    tensorboard: bool = False

    @model_validator(mode="after")
    def _has_epochs(self) -> Self:
        if self.epochs + self.decay < 1:
            raise ValueError("epochs and decay are both 0; train at least one epoch")
        return self


class TrainOptions(RunOptions):
    """Options that all methods have that train generators.

    Attributes:
        one_domain: whether images of data.a are all that the method learns from.
        domains: names of the domains, stored with the generators.
        data, generator, validation: sections, see their classes.
    """

    one_domain: ClassVar[bool] = False
    domains: tuple[str, str] = ("A", "B")
    data: DataOptions
    generator: GeneratorOptions = GeneratorOptions()
    validation: ValidationOptions | None = None

    @model_validator(mode="after")
    def _domains_are_there(self) -> Self:
        table = is_table(self.data.a)
        if table and not self.one_domain:
            if self.data.b is not None or self.data.pairs != "folders":
                raise ValueError(
                    f"data.a: {self.data.a} is a table of both domains; leave out data.b and "
                    "data.pairs"
                )
        elif self.one_domain:
            if self.data.b is not None or self.data.pairs == "side-by-side" or table:
                raise ValueError(f"{self.method} learns from data.a alone; leave out b and pairs")
        elif (self.data.b is None) != (self.data.pairs == "side-by-side"):
            raise ValueError("data.b is needed, except with pairs: side-by-side, which takes no b")
        return self

    @model_validator(mode="after")
    def _patch_fits_generator(self) -> Self:
        stride = self.generator.family.stride(self.generator.arguments())
        if self.data.patch % stride:
            raise ValueError(
                f"data.patch {self.data.patch} must be a multiple of {stride}, "
                "the generator's stride"
            )
        return self


class GanOptions(TrainOptions):
    """Options that all methods with a discriminator have."""

    discriminator: DiscriminatorOptions = DiscriminatorOptions()

    @model_validator(mode="after")
    def _patch_fits_discriminator(self) -> Self:
        # After the halvings, two 4 x 4 kernels without stride take two pixels.
        least = 2**self.discriminator.layers * 4
        if self.data.patch < least:
            raise ValueError(
                f"data.patch {self.data.patch} is too small for the discriminator; "
                f"{self.discriminator.layers} layers need {least} px"
            )
        return self
