"""What the engine needs to know of a generator; no caller asks which architecture it is."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class GeneratorInfo:
    """Facts that travel with a generator.

    Attributes:
        architecture: a name of `tables.GENERATOR_FAMILIES`, or `package.module:factory`.
        arguments: keyword arguments that rebuild the network.
        in_channels: channels of the input; the engine feeds RGB, so 3 (or 1 for grey).
        out_channels: channels of the output, 3 or 1.
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
        value_range: range of input and output values, usually (-1.0, 1.0).
        description: a sentence for people: what it was trained on, and what it is not for.
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
    description: str = ""
