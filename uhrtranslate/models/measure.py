"""The facts of a network without a description: what it declares, and what trials show."""

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from uhrtranslate.errors import CheckpointError
from uhrtranslate.models.info import GeneratorInfo
from uhrtranslate.models.unwrap import show

_LARGEST_STRIDE = 512
_SMALLEST_SIDE = 64  # smaller inputs fail in reflection padding, not because of the stride


class _ResizedError(ValueError):
    """The output has another size than the input."""


def measure_info(
    module: nn.Module, architecture: str, in_channels: int | None = None
) -> GeneratorInfo:
    """Find out what the engine needs to know of a network.

    The network's own attributes `stride`, `cell`, `halo`, `covariant`, `period` and `value_range`
    are trusted; a network with a halo is covariant unless it says otherwise. Without `stride`,
    powers of two are tried until one gives outputs of the input's size for inputs whose sides are
    odd multiples of it. This cannot see the stride of a network that resizes its output to its
    input; such a network should declare `stride`.

    Args:
        module: in eval mode on the CPU; takes [n, c, h, w] and returns the same size.
        architecture: the name to give it.
        in_channels: channels of the input; None: those of the first convolution.

    Raises:
        CheckpointError: the attributes are wrong, or no size gives an output of the same size.
    """
    if in_channels is None:
        first = next((m for m in module.modules() if isinstance(m, nn.Conv2d)), None)
        in_channels = 3 if first is None else first.in_channels
    stride = _declared(module, "stride")
    halo = _declared(module, "halo", least=0)
    low, high = _value_range(module)
    strides = [2**i for i in range(_LARGEST_STRIDE.bit_length())] if stride is None else [stride]
    failures: list[Exception] = []
    for candidate in strides:
        try:
            out_channels = _try(module, in_channels, candidate)
        except (RuntimeError, ValueError, IndexError, AssertionError) as error:
            failures.append(error)
            continue
        return GeneratorInfo(
            architecture=architecture,
            in_channels=in_channels,
            out_channels=out_channels,
            stride=candidate,
            cell=_declared(module, "cell"),
            halo=halo,
            covariant=_covariant(module, halo),
            period=_period(module, candidate),
            value_range=(low, high),
        )
    raise CheckpointError(f"{architecture}: {_why_none(failures)}")


def _why_none(failures: Sequence[Exception]) -> str:
    """Why no input size gives an output of the same size, and what to do."""
    # TorchScript puts its own lines before that of the cause.
    reason = show((str(failures[-1]).strip().splitlines() or [""])[-1], 200)
    if all(isinstance(error, _ResizedError) for error in failures):
        return (
            f"changes the size of images ({reason}); a generator must give a pixel for each of "
            "its input: pad its convolutions, or resize its output in its forward"
        )
    if re.search(r"cuda|nvidia", reason, re.IGNORECASE):
        return (
            f"needs a GPU wherever its input is ({reason}); its forward must make tensors on the "
            "device of its input, x.device"
        )
    return (
        f"no input size gives an output of the same size ({reason}); give the network a `stride` "
        "attribute, or a forward that returns an image"
    )


def _try(module: nn.Module, channels: int, stride: int) -> int:
    """Run two sizes that are odd multiples of the stride; returns the channels of the output."""
    least = -(-_SMALLEST_SIDE // stride) | 1
    out_channels = 0
    for height, width in ((least, least + 2), (least + 2, least)):
        x = torch.zeros(1, channels, height * stride, width * stride)
        with torch.inference_mode():
            y: Any = module(x)
        if not isinstance(y, Tensor) or y.ndim != 4:
            raise ValueError(f"the output is {type(y).__name__}, not a [n, c, h, w] tensor")
        if y.shape[2:] != x.shape[2:]:
            before, after = (f"{t.shape[3]} x {t.shape[2]} px" for t in (x, y))
            raise _ResizedError(f"{before} came out as {after}")
        out_channels = y.shape[1]
    return out_channels


def _declared(module: nn.Module, name: str, least: int = 1) -> int | None:
    """An attribute in px, checked; None if there is none."""
    value = getattr(module, name, None)
    if value is None or type(module).__module__.startswith("torch.nn"):
        return None  # a bare layer's `stride` means something else
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise CheckpointError(f"{name} of the network is {value!r}; it must be a number of px")
    return value


def _covariant(module: nn.Module, halo: int | None) -> bool | None:
    value = getattr(module, "covariant", None)
    if value is None:
        return None if halo is None else True
    if not isinstance(value, bool):
        raise CheckpointError(f"covariant of the network is {value!r}; it must be True or False")
    return value


def _period(module: nn.Module, stride: int) -> int | None:
    period = _declared(module, "period")
    if period is not None and period % stride:
        raise CheckpointError(
            f"period of the network is {period}; it must be a multiple of its stride, {stride}"
        )
    return period


def _value_range(module: nn.Module) -> tuple[float, float]:
    value = getattr(module, "value_range", (-1.0, 1.0))
    try:
        low, high = (float(v) for v in value)
    except (TypeError, ValueError):
        low, high = 0.0, 0.0
    if not low < high:
        raise CheckpointError(f"value_range of the network is {value!r}; it must be (low, high)")
    return low, high
