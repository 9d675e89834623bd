"""A runner for GPUs, whose passes beside the convolutions are kernels."""

import logging
from collections.abc import Callable
from functools import cache, cached_property, partial
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from uhrtranslate.engine.forward.actions import AS_TRAINED, MomentRule
from uhrtranslate.engine.forward.memory import memory_needed
from uhrtranslate.engine.gpu import operations
from uhrtranslate.engine.gpu.graphs import Graphs
from uhrtranslate.engine.gpu.twin import twin_of
from uhrtranslate.engine.native.layers import NativeSwitch
from uhrtranslate.engine.native.operations import Kernels
from uhrtranslate.engine.native.runner import NativeRunner
from uhrtranslate.engine.statistics.moments import Moments
from uhrtranslate.errors import OptionError

_log = logging.getLogger(__name__)
# The oldest GPUs that Triton compiles for.
CAPABILITY = (8, 0)


class GpuRunner(NativeRunner):
    """A `GeneratorRunner` for a GPU, with the same arguments; results differ by rounding.

    Features have their channels last, as cuDNN wants them. What is between two convolutions (bias,
    normalization, activation, what a residual block adds, padding) is one pass over memory.

    Raises:
        OptionError: there is no Triton, or not for this GPU.
    """

    def plain(self, x: Tensor) -> Tensor:
        """See `GeneratorRunner`."""
        plain = super().plain
        (y,) = self._graphs.run(("plain", self.dtype), lambda some: [plain(some)], x)
        return y

    def record(self, x: Tensor, rule: MomentRule = AS_TRAINED) -> Moments:
        """See `GeneratorRunner`."""
        record = super().record

        def forward(some: Tensor) -> list[Tensor]:
            found = record(some, rule)
            return [*found.mean, *found.std]

        # The first time, nobody knows yet where it can end.
        how = "record", rule, self.dtype, self.statistics_dtype, self._norm_calls
        parts = self._graphs.run(how, forward, x)
        half = len(parts) // 2
        return Moments(tuple(parts[:half]), tuple(parts[half:]))

    @cached_property
    def _graphs(self) -> Graphs:
        return Graphs(self.device, partial(memory_needed, self))

    def _prepared(self) -> tuple[Kernels, Callable[[nn.Module, NativeSwitch, bool], nn.Module]]:
        if (why := trouble(self.device)) is not None:
            raise OptionError(
                f"--compile: there are no kernels for {self.device} here ({why}); leave --compile "
                "out."
            )
        return operations, twin_of


@cache
def trouble(device: torch.device) -> str | None:
    """Why there are no kernels for a device, in a few words; None if there are.

    Two are tried, which takes some seconds the first time on a machine: Triton may be there, but no
    C compiler, which it needs to start what it has compiled.
    """
    if device.type != "cuda":
        return "not a GPU that Triton knows"
    if find_spec("triton") is None:
        return "no Triton"
    try:
        if torch.version.hip is None and torch.cuda.get_device_capability(device) < CAPABILITY:
            return "the GPU's compute capability is below 8.0"
        operations.mean_and_variance(torch.zeros(1, 8, 2, 2, device=device), False)
    except Exception as error:  # of whatever kind Triton, the driver or a compiler raise
        _log.debug("kernels for %s", device, exc_info=True)
        told = str(error).strip().splitlines() or [type(error).__name__]
        return f"Triton does not work: {told[0]}"
    return None
