"""What norm layers can do with their input: plain instance norm, recording, applying fields."""

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from uhrtranslate.geometry import Box
from uhrtranslate.normalizers import Field


@dataclass(frozen=True)
class MomentRule:
    """How the std of a feature map is defined.

    Attributes:
        unbiased: divide by n - 1 instead of n.
        eps: added to the variance; None stands for each layer's own.
        floor: smaller variances are raised to this, so that a flat map does not give NaN.
    """

    unbiased: bool = False
    eps: float | None = None
    floor: float = 0.0


# Plain instance normalization, as the generator was trained.
AS_TRAINED = MomentRule()
# As in the public KIN and DN code, except for the floor: there, a flat cell gives NaN.
PUBLISHED_CELL = MomentRule(unbiased=True, eps=0.0, floor=1e-10)
# As the public TIN code treats its thumbnail.
PUBLISHED_THUMBNAIL = MomentRule(unbiased=True, eps=1e-5)
# Torch's batch norm sums up in float32, except for float32 maps with channels first, which it sums
# up in float64. With more values than this, float32 costs accuracy (3e-4 of the std at 2 million).
MOST_SUMMED = 1 << 20
# Size in float32 of the parts that fields are applied to on a CPU: passes that stay in the caches
# take half as long as passes over memory.
CACHE_BYTES = 4 << 20


class StatisticsComplete(Exception):
    """Ends a recording forward at its last norm layer; the rest does not affect statistics."""


class Action(Protocol):
    """What the norm layers do with their input, [n, c, h, w] -> the same shape and dtype."""

    def __call__(self, call: int, x: Tensor, eps: float, share: int = 1) -> Tensor:
        """Normalize the input of this forward's norm call number `call`, without affine.

        `share` neighbouring channels have statistics in common: 1 but for group normalization.
        """
        ...


def plain_instance_norm(call: int, x: Tensor, eps: float, share: int = 1) -> Tensor:
    """Plain instance (or group) normalization as an `Action`."""
    return Recorder()(call, x, eps, share)


def moments(x: Tensor, rule: MomentRule, eps: float, share: int = 1) -> tuple[Tensor, Tensor]:
    """Mean and std of [n, c, h, w] float32 over its pixels, [n, c] each.

    Args:
        x: the feature maps.
        rule: definition of std.
        eps: the layer's.
        share: neighbouring channels that have statistics in common, each of which gets them.
    """
    values = x.shape[-1] * x.shape[-2]
    if share == 1:
        var, mean = torch.var_mean(x, dim=(2, 3), correction=int(rule.unbiased and values > 1))
    else:
        var, mean = grouped(*torch.var_mean(x, (2, 3), correction=0), share, values, rule.unbiased)
    return mean, std_of(var, rule, eps)


def std_of(var: Tensor, rule: MomentRule, eps: float) -> Tensor:
    """The std that a rule makes of variances; `eps` is the layer's."""
    return (var.clamp(min=rule.floor) + (eps if rule.eps is None else rule.eps)).sqrt()


def grouped(
    var: Tensor, mean: Tensor, share: int, values: int, unbiased: bool
) -> tuple[Tensor, Tensor]:
    """Variance and mean of groups of channels, [n, c] each, from those of single channels.

    A group's variance is the mean of its channels' variances plus the variance of their means: so
    the maps keep their layout, and nothing cancels out.

    Args:
        var, mean: [n, c], of each channel's values, divided by their number.
        share: neighbouring channels of a group.
        values: of a channel.
        unbiased: divide by a group's values less one.
    """
    var, mean = (part.reshape(len(part), -1, share) for part in (var, mean))
    between, centre = torch.var_mean(mean, dim=2, correction=0, keepdim=True)
    within = var.mean(2, keepdim=True) + between
    if unbiased:
        within = within * (share * values / (share * values - 1))
    return within.expand_as(mean).flatten(1), centre.expand_as(mean).flatten(1)


@dataclass
class Recorder:
    """Normalizes like plain instance normalization and keeps the statistics.

    Attributes:
        rule: definition of std.
        stop_after: number of norm calls after which `StatisticsComplete` ends the forward; None to
            complete it.
        mean, std: one [n, c] float32 tensor per norm call; channels of a group have the same.
    """

    rule: MomentRule = AS_TRAINED
    stop_after: int | None = None
    mean: list[Tensor] = field(default_factory=list)
    std: list[Tensor] = field(default_factory=list)

    def __call__(self, call: int, x: Tensor, eps: float, share: int = 1) -> Tensor:
        """See `Action`; statistics and arithmetic in float32."""
        fused = share == 1 and x[0, 0].numel() > 1
        if self.rule == AS_TRAINED and fused:
            y, mean, std = _by_batch_norm(x, eps)
        else:
            wide = x.float()
            mean, std = moments(wide, self.rule, eps, share)
            y = (wide - mean[..., None, None]).div_(std[..., None, None])
        self.mean.append(mean)
        self.std.append(std)
        if self.stop_after is not None and call + 1 >= self.stop_after:
            raise StatisticsComplete
        return y.to(x.dtype)


@dataclass(frozen=True)
class Frozen:
    """Normalizes with the statistics of another forward.

    Attributes:
        mean, std: one [n, c] float32 tensor per norm call.
    """

    mean: tuple[Tensor, ...]
    std: tuple[Tensor, ...]

    @classmethod
    def of(cls, recorder: Recorder) -> "Frozen":
        """The statistics of a recorder."""
        return cls(tuple(recorder.mean), tuple(recorder.std))

    def __call__(self, call: int, x: Tensor, eps: float, share: int = 1) -> Tensor:
        """See `Action`."""
        y = (x - self.mean[call][..., None, None]) / self.std[call][..., None, None]
        return y.to(x.dtype)


def own_constants(call: int, x: Tensor, eps: float, share: int = 1) -> Tensor:
    """Plain instance (or group) normalization as an `Action`; gradients take it for constant."""
    with torch.no_grad():
        mean, std = moments(x.float(), AS_TRAINED, eps, share)
    return ((x - mean[..., None, None]) / std[..., None, None]).to(x.dtype)


def _by_batch_norm(x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Instance norm of [n, c, h, w], and the mean and std that it found, [n, c] float32."""
    n, c, h, w = x.shape
    # Batch norm over n * c channels is instance norm, and also returns the statistics. A single
    # sample is not reshaped, as that would obscure that its channels are last.
    maps = x if n == 1 else x.reshape(1, n * c, h, w)
    if h * w > MOST_SUMMED:
        maps = maps.float().contiguous()
    # The statistics are float32 if the factors are, whatever the type of the maps.
    one, zero = (maps.new_full((n * c,), value, dtype=torch.float32) for value in (1, 0))
    y, mean, rstd = torch.native_batch_norm(maps, one, zero, None, None, True, 0.0, eps)
    return y.reshape(x.shape) if n > 1 else y, mean.reshape(n, c), rstd.reciprocal().reshape(n, c)


class FieldSource(Protocol):
    """Where norm layers find their fields.

    Attributes:
        size: height and width in px of the image of what the fields are for; in the mirrored
            geometry less than the input's.
    """

    @property
    def size(self) -> tuple[int, int]: ...  # noqa: D102

    def within(self, part: Box) -> "FieldSource":
        """The same fields for a part of the input, in px from its corner."""
        ...

    def field(self, call: int, sample: int, h: int, w: int) -> Field:
        """The field of one sample of the batch at norm call number `call`, h x w features."""
        ...


@dataclass(frozen=True)
class Applier:
    """Normalizes every pixel with the mean and rstd of a field."""

    source: FieldSource

    def __call__(self, call: int, x: Tensor, eps: float, share: int = 1) -> Tensor:
        """See `Action`; arithmetic in float32."""
        h, w = x.shape[-2:]
        y = torch.empty_like(x)
        for i, (sample, result) in enumerate(zip(x, y, strict=True)):
            field = self.source.field(call, i, h, w)
            for rows in _in_cache(sample):
                result[:, rows] = field.of_rows(rows).apply(sample[:, rows].float())
        return y


def _in_cache(x: Tensor) -> list[slice]:
    """The rows of [c, h, w] in parts that fit a CPU's caches; on other devices all at once."""
    c, h, w = x.shape
    if x.device.type != "cpu" or x.stride(0) != 1:
        return [slice(None)]
    some = max(1, CACHE_BYTES // (4 * c * w))
    return [slice(first, first + some) for first in range(0, h, some)]
