"""What a family of generators tells about itself, and how keys and shapes are read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

Arguments = dict[str, Any]

MAX_BLOCKS = 200  # public generators have 6 or 9; a hostile file may name any number


@dataclass(frozen=True)
class Family:
    """One family of generators; each member of `tables.GENERATOR_FAMILIES` is one.

    Attributes:
        name: its name in that table, in native files and in messages.
        build: makes the network from keyword arguments, with random weights.
        recognise: reads those arguments off the keys and shapes of a state dict; None if the
            state is of another family. It changes nothing and reads no values.
        stride: total downsampling of the network that the arguments describe, in px.
        covariant, cell, value_range: see `GeneratorInfo`.
        period: see `GeneratorInfo`, of the network that the arguments describe; None: the stride.
    """

    name: str
    build: Callable[..., nn.Module]
    recognise: Callable[[Mapping[str, Tensor]], Arguments | None]
    stride: Callable[[Arguments], int]
    covariant: bool = True
    cell: int | None = None
    value_range: tuple[float, float] = (-1.0, 1.0)
    period: Callable[[Arguments], int] | None = None

    def period_of(self, arguments: Arguments) -> int | None:
        """The period of a network; None if it is the stride."""
        return None if self.period is None else self.period(arguments)


def shape_of(state: Mapping[str, Tensor], key: str) -> tuple[int, ...]:
    """Shape of an entry; empty if there is none."""
    return tuple(state[key].shape) if key in state else ()


def is_conv(state: Mapping[str, Tensor], key: str, side: int) -> bool:
    """Whether an entry is the weight of a square convolution with kernels of `side` px."""
    shape = shape_of(state, key)
    return len(shape) == 4 and shape[2:] == (side, side) and min(shape) > 0


def norm_arguments(state: Mapping[str, Tensor], norm: str, conv: str) -> Arguments:
    """Read the kind of the norm layers off one of them and the convolution before it.

    PyTorch before 0.4 stored running statistics for instance norm too. Two signs
    tell them from batch norm: the convolution has a bias (batch norm makes it superfluous, and the
    public code leaves it out), and there is no batch counter (batch norm has one since 0.4.1).

    Args:
        state: the state dict, with bare keys.
        norm: key of a norm layer, without `.weight`.
        conv: key of the convolution whose output it takes.

    Returns: `norm` ("instance" or "batch"), `affine` (of instance norm) and `bias`.
    """
    bias = f"{conv}.bias" in state
    affine = f"{norm}.weight" in state
    counted = f"{norm}.num_batches_tracked" in state
    batch = affine and f"{norm}.running_mean" in state and (counted or not bias)
    return {"norm": "batch" if batch else "instance", "affine": affine and not batch, "bias": bias}


def make_norm(kind: str, channels: int, affine: bool) -> nn.Module:
    """Make one norm layer.

    Args:
        kind: "instance" or "batch"; batch norm always has weight and bias.
        channels: channels it normalizes.
        affine: whether an instance norm has weight and bias.

    Raises:
        ValueError: another kind.
    """
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=affine)
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    raise ValueError(f"norm is {kind!r}; it must be 'instance' or 'batch'")
