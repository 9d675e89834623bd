"""Norm layers that can be told what to do from outside, and their generic replacement.

`replace_norms` swaps every `nn.InstanceNorm2d` of any module for a `SwitchedNorm2d`. All of them
share one `NormSwitch`, which says what they do at the moment: plain instance normalization (as
trained), recording statistics, or applying fields. Layers are told apart by the order of their
calls in a forward, so a layer that is used twice has two tables.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from uhrtranslate.normalizers import Field


@dataclass(frozen=True)
class MomentRule:
    """How the std of a feature map is defined.

    Attributes:
        unbiased: divide by n - 1 instead of n.
        eps: added to the variance; None takes each layer's own.
        floor: variances are raised to this, so that a flat map gives no NaN.
    """

    unbiased: bool = False
    eps: float | None = None
    floor: float = 0.0


# Plain instance normalization, as the generator was trained.
AS_TRAINED = MomentRule()
# What the public KIN and DN code does, but for the floor: there, a flat cell gives NaN.
PUBLISHED_CELL = MomentRule(unbiased=True, eps=0.0, floor=1e-10)
# What the public TIN code does with its thumbnail.
PUBLISHED_THUMBNAIL = MomentRule(unbiased=True, eps=1e-5)
# Torch's batch norm sums up in float32, but maps in float32 whose channels are first in float64; of
# more values than these the former costs accuracy (3e-4 of the std at 2 million).
MOST_SUMMED = 1 << 20
# What fields are applied to at once on a CPU, in float32: passes that stay in the caches take half
# as long as passes over memory.
CACHE_BYTES = 4 << 20


class _StatisticsComplete(Exception):
    """Raised by the last norm layer of a recording forward: what follows changes no statistics."""


class Action(Protocol):
    """What the norm layers do with their input, [n, c, h, w] -> the same shape and dtype."""

    def __call__(self, call: int, x: Tensor, eps: float) -> Tensor:
        """Normalize the input of the `call`-th norm call of this forward, without affine."""
        ...


def plain_instance_norm(call: int, x: Tensor, eps: float) -> Tensor:
    """Plain instance normalization as an `Action`."""
    return Recorder()(call, x, eps)


def moments(x: Tensor, rule: MomentRule, eps: float) -> tuple[Tensor, Tensor]:
    """Mean and std of [n, c, h, w] float32 over its pixels, [n, c] each.

    Args:
        x: feature maps.
        rule: how std is defined.
        eps: of the layer.
    """
    correction = int(rule.unbiased and x.shape[-1] * x.shape[-2] > 1)
    var, mean = torch.var_mean(x, dim=(2, 3), correction=correction)
    return mean, (var.clamp(min=rule.floor) + (eps if rule.eps is None else rule.eps)).sqrt()


@dataclass
class Recorder:
    """Normalizes as plain IN does and keeps the statistics.

    Attributes:
        rule: definition of std.
        stop_after: number of norm calls after which the forward may end; None to run it all.
        mean, std: one [n, c] float32 tensor per norm call.
    """

    rule: MomentRule = AS_TRAINED
    stop_after: int | None = None
    mean: list[Tensor] = field(default_factory=list)
    std: list[Tensor] = field(default_factory=list)

    def __call__(self, call: int, x: Tensor, eps: float) -> Tensor:
        """See `Action`; statistics and arithmetic in float32."""
        n, c, h, w = x.shape
        # A single sample as it is: a reshape blurs that its channels are last.
        maps = x if n == 1 else x.reshape(1, n * c, h, w)
        if self.rule == AS_TRAINED and h * w > 1:
            if h * w > MOST_SUMMED:
                maps = maps.float().contiguous()
            # Batch norm over n * c channels is instance norm, and returns what it computed: in
            # float32, whatever the maps are, if its factors are.
            one, zero = (maps.new_full((n * c,), value, dtype=torch.float32) for value in (1, 0))
            y, mean, rstd = torch.native_batch_norm(maps, one, zero, None, None, True, 0.0, eps)
            std = rstd.reciprocal()
        else:
            wide = maps.float()
            mean, std = (part[0] for part in moments(wide, self.rule, eps))
            y = (wide - mean[:, None, None]).div_(std[:, None, None])
        self.mean.append(mean.reshape(n, c))
        self.std.append(std.reshape(n, c))
        if self.stop_after is not None and call + 1 >= self.stop_after:
            raise _StatisticsComplete
        return (y if n == 1 else y.reshape(n, c, h, w)).to(x.dtype)


class FieldSource(Protocol):
    """Where norm layers find their fields.

    Attributes:
        columns: of cells that the fields of any tile have at most.
    """

    @property
    def columns(self) -> int: ...  # noqa: D102

    def field(self, call: int, sample: int, h: int, w: int) -> Field:
        """The field of one sample of the batch at the `call`-th norm call, h x w features."""
        ...


@dataclass(frozen=True)
class Applier:
    """Normalizes every pixel with the mean and rstd of a field."""

    source: FieldSource

    def __call__(self, call: int, x: Tensor, eps: float) -> Tensor:
        """See `Action`; arithmetic in float32."""
        h, w = x.shape[-2:]
        y = torch.empty_like(x)
        for i, (sample, result) in enumerate(zip(x, y, strict=True)):
            field = self.source.field(call, i, h, w)
            for rows in _in_cache(sample):
                result[:, rows] = field.of_rows(rows).apply(sample[:, rows].float())
        return y


def _in_cache(x: Tensor) -> list[slice]:
    """The rows of [c, h, w], as many at once as a CPU's caches hold; elsewhere all."""
    c, h, w = x.shape
    if x.device.type != "cpu" or x.stride(0) != 1:
        return [slice(None)]
    some = max(1, CACHE_BYTES // (4 * c * w))
    return [slice(first, first + some) for first in range(0, h, some)]


class NormSwitch:
    """Says what all replaced norm layers of one module do, and counts their calls."""

    def __init__(self) -> None:
        self.layers = 0
        self._action: Action = plain_instance_norm
        self._calls = 0

    def normalize(self, x: Tensor, eps: float) -> Tensor:
        """Called by the layers."""
        call, self._calls = self._calls, self._calls + 1
        # Where only shapes are asked for ("meta") there is no autocast.
        with torch.autocast("cpu" if x.is_meta else x.device.type, enabled=False):
            return self._action(call, x, eps)

    def begin(self, action: Action) -> None:
        """Do `action` from here on, as at the beginning of a forward."""
        self._action, self._calls = action, 0

    @contextmanager
    def doing(self, action: Action) -> Iterator[None]:
        """Within the block, layers do `action`; a recording forward may end early in it.

        Blocks may be nested: a forward inside a norm layer of another one leaves its count alone.
        """
        previous = self._action, self._calls
        self.begin(action)
        try:
            yield
        except _StatisticsComplete:
            pass
        finally:
            self._action, self._calls = previous


class SwitchedNorm2d(nn.Module):
    """An instance norm layer whose statistics come from where the switch says.

    Running statistics of the replaced layer are not used: what it does by default is instance
    normalization of its input, as in training.
    """

    def __init__(self, original: nn.InstanceNorm2d, switch: NormSwitch) -> None:
        super().__init__()
        self.eps = original.eps
        self.weight = original.weight if original.affine else None
        self.bias = original.bias if original.affine else None
        # Not a module: the switch is shared and holds no weights.
        self.switch = switch

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] -> the same, normalized, then affine."""
        y = self.switch.normalize(x, self.eps)
        if self.weight is not None and self.bias is not None:
            y = y * self.weight[:, None, None].to(y.dtype) + self.bias[:, None, None].to(y.dtype)
        return y


def replace_norms(module: nn.Module) -> NormSwitch:
    """Swap every `nn.InstanceNorm2d` inside a module, in place.

    Affine or not, with or without running statistics, wherever they are nested. A layer that
    stands in several places stays shared. Until the switch is told otherwise the module computes
    what it computed before (with running statistics: what it computed in training).

    Args:
        module: any module; called again on the same module, it gives the same switch.

    Returns:
        The switch that governs the new layers.

    Example:
        >>> import torch
        >>> from uhrtranslate.engine.forward.layers import Recorder
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.InstanceNorm2d(4))
        >>> switch = replace_norms(net)
        >>> recorder = Recorder()
        >>> with switch.doing(recorder):
        ...     y = net(torch.zeros(1, 3, 8, 8))
        >>> recorder.mean[0].shape
        torch.Size([1, 4])
    """
    replaced = [layer for layer in module.modules() if isinstance(layer, SwitchedNorm2d)]
    switch = replaced[0].switch if replaced else NormSwitch()
    found: dict[int, SwitchedNorm2d] = {}
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.InstanceNorm2d):
                if id(child) not in found:
                    found[id(child)] = SwitchedNorm2d(child, switch)
                setattr(parent, name, found[id(child)])
    switch.layers = len(replaced) + len(found)
    return switch
