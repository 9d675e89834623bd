"""A runner whose forwards are kernels."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from uhrtranslate.engine.forward.actions import (
    AS_TRAINED,
    FieldSource,
    MomentRule,
    StatisticsComplete,
    grouped,
    std_of,
)
from uhrtranslate.engine.forward.runner import GeneratorRunner
from uhrtranslate.engine.native import operations
from uhrtranslate.engine.native.build import library
from uhrtranslate.engine.native.layers import NativeAction, NativeSwitch
from uhrtranslate.engine.native.operations import Finish, Kernels
from uhrtranslate.engine.native.twin import twin_of
from uhrtranslate.engine.statistics.moments import Moments
from uhrtranslate.models import Generator
from uhrtranslate.models.stages import Stage


class NativeRunner(GeneratorRunner):
    """A `GeneratorRunner` for a CPU, with the same arguments; results differ by rounding.

    Normalization, activation and what a residual block adds are one pass over memory, in place; 3x3
    convolutions in float32 take a quarter of the multiplications.

    Raises:
        NoCompilerError: this machine cannot compile the kernels.
    """

    def __init__(
        self,
        generator: Generator,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        statistics_dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(generator, device, dtype, statistics_dtype)
        self._native = NativeSwitch()
        self._kernels, twin_of = self._prepared()
        known = not self.info.is_foreign
        self._twin = twin_of(self.module, self._native, known)
        self._stages = tuple(
            replace(stage, module=twin_of(stage.module, self._native, known))
            for stage in super().stages
        )

    def _prepared(self) -> tuple[Kernels, Callable[[nn.Module, NativeSwitch, bool], nn.Module]]:
        """The kernels, ready for use, and what makes a generator's twin that calls them."""
        library()
        return operations, twin_of

    @property
    def stages(self) -> tuple[Stage, ...]:
        """See `GeneratorRunner`."""
        return self._stages

    def plain(self, x: Tensor) -> Tensor:
        """See `GeneratorRunner`."""
        return self._of_size(self._run(x, _Measured(self._kernels)), x)

    def normalize(self, x: Tensor, fields: FieldSource) -> Tensor:
        """See `GeneratorRunner`."""
        return self._of_size(self._run(x, _Applied(self._kernels, fields)), x)

    def record(self, x: Tensor, rule: MomentRule = AS_TRAINED) -> Moments:
        """See `GeneratorRunner`."""
        action = _Measured(self._kernels, rule, self._norm_calls)
        with suppress(StatisticsComplete):
            self._run(x, action, self.statistics_dtype)
        self._norm_calls = len(action.mean)
        return Moments(tuple(action.mean), tuple(action.std))

    def _compute_stage(
        self, stage: Stage, x: Tensor, fields: FieldSource, call: int
    ) -> tuple[Tensor, int]:
        self._native.begin(_Applied(self._kernels, fields), call)
        return stage.module(x), self._native.calls

    def _run(self, x: Tensor, action: NativeAction, dtype: torch.dtype | None = None) -> Tensor:
        with torch.inference_mode(), self._precision(dtype):
            self._native.begin(action)
            y: Tensor = self._twin(x)
            return y


@dataclass
class _Measured:
    """Normalizes like plain instance normalization and keeps the statistics; see `Recorder`."""

    kernels: Kernels
    rule: MomentRule = AS_TRAINED
    stop_after: int | None = None
    mean: list[Tensor] = field(default_factory=list)
    std: list[Tensor] = field(default_factory=list)

    def __call__(
        self, call: int, x: Tensor, eps: float, share: int, finish: Finish, out: Tensor
    ) -> Tensor:
        """See `NativeAction`."""
        unbiased, values = self.rule.unbiased, x.shape[-1] * x.shape[-2]
        mean, var = self.kernels.mean_and_variance(x, unbiased and share == 1)
        if finish.shift is not None:
            mean = mean + finish.shift
        if share > 1:
            var, mean = grouped(var, mean, share, values, unbiased)
        std = std_of(var, self.rule, eps)
        self.mean.append(mean)
        self.std.append(std)
        if self.stop_after is not None and call + 1 >= self.stop_after:
            raise StatisticsComplete
        return self.kernels.normalize(x, mean, std, finish, out)


@dataclass(frozen=True)
class _Applied:
    """Normalizes every pixel with the mean and rstd of a field; see `Applier`."""

    kernels: Kernels
    source: FieldSource

    def __call__(
        self, call: int, x: Tensor, eps: float, share: int, finish: Finish, out: Tensor
    ) -> Tensor:
        """See `NativeAction`."""
        h, w = x.shape[-2:]
        return self.kernels.apply_fields(
            x, lambda sample: self.source.field(call, sample, h, w), finish, out
        )
