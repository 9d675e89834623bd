"""What the engine needs to know of a generator; no caller asks which architecture it is."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class GeneratorInfo:
    """Facts that travel with a generator.

    Attributes:
        architecture: a name of `tables.GENERATOR_FAMILIES`, or `package.module:factory`.
        arguments: keyword arguments that rebuild the network.
        in_channels: channels of the input: as many as `inputs` make, or 1 for grey made of RGB.
        out_channels: channels of the output: 3 or 1 for colours or grey; others are channels of
            their own, as `channel_names` says.
        stride: total downsampling inside the generator; tiles are multiples of it.
        cell: side in px of the patches it was trained on, and so of the statistics cells; None if
            unknown (512 is then assumed).
        halo: px of true neighbours that a tile needs; None to have it measured.
        covariant: whether its output is shifted with its input by any multiple of the stride, away
            from the edges; else tiles are blended. None to have it measured.
        period: px by which it is shifted so if it is not covariant, a multiple of the stride;
            None: the stride.
        mpp: micrometres per pixel it was trained at; None if unknown.
        domains: names of the source and target domain, ("A", "B") if unknown.
        value_range: range of input and output values, usually (-1.0, 1.0). All depths of pixels
            stand for it: the lower end is 0, the upper one the largest value of uint8 or uint16.
        input_range: pixel values, of an image's own channels, that become the ends of the value
            range, such as (0, 4095) for a camera of 12 bits; what is beyond is clipped. None: those
            of the type, or of float32 the least and the largest of the whole slide.
        output_range: what the ends of the value range are in results of float32, which are not
            clipped.
        inputs: names in `tables.PLANES` of what the input's channels are, in order.
        histogram: how many pixels of the target's training images have each luma, [256], if an
            input is matched to it.
        channels: names of the output's channels, if it is no colour or grey picture.
        description: a sentence for people: what it was trained on, and what it is not for.
        opaque: whether it is a program that cannot be looked into (TorchScript), so that its norm
            layers cannot follow a normalizer.
        white_glass: whether its results are to be white where the source is bare glass, as what it
            paints there means nothing.
        origin: how it was made, a JSON text; empty if nobody says.
    """

    architecture: str
    arguments: dict[str, Any] = field(default_factory=dict)
    in_channels: int = 3
    out_channels: int = 3
    stride: int = 4
    cell: int | None = None
    halo: int | None = None
    covariant: bool | None = True
    period: int | None = None
    mpp: float | None = None
    domains: tuple[str, str] = ("A", "B")
    value_range: tuple[float, float] = (-1.0, 1.0)
    input_range: tuple[float, float] | None = None
    output_range: tuple[float, float] = (0.0, 1.0)
    description: str = ""
    inputs: tuple[str, ...] = ("rgb",)
    histogram: tuple[int, ...] | None = None
    channels: tuple[str, ...] = ()
    opaque: bool = False
    white_glass: bool = False
    origin: str = ""

    @property
    def is_foreign(self) -> bool:
        """Whether it is code of the user's (MODULE:FUNCTION), whose layers nobody here knows."""
        return ":" in self.architecture

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the output's channels; none if it is a colour or grey picture."""
        if self.channels or self.out_channels in (1, 3):
            return self.channels
        return tuple(f"channel {number + 1}" for number in range(self.out_channels))
