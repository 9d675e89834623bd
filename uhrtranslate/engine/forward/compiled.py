"""The forwards of a generator as graphs that `torch.compile` makes: same function, fewer passes.

The graphs' inputs are pixels and the small factors of the fields, so one graph serves all tiles of
a shape. Interpolation, normalization and activation become one pass over memory, and the
statistics pass computes nothing after its last norm layer. `GeneratorRunner` is the reference;
results differ from it by rounding.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from uhrtranslate.engine.forward.actions import (
    AS_TRAINED,
    FieldSource,
    MomentRule,
    Recorder,
    plain_instance_norm,
)
from uhrtranslate.engine.forward.convolutions import rewritten
from uhrtranslate.engine.forward.layers import replace_norms
from uhrtranslate.engine.forward.runner import GeneratorRunner
from uhrtranslate.engine.statistics.factors import Factors, stacked
from uhrtranslate.engine.statistics.moments import Moments
from uhrtranslate.errors import OptionError
from uhrtranslate.models import Generator


class CompiledRunner(GeneratorRunner):
    """A `GeneratorRunner`, with the same arguments, that compiles its forwards for each new shape.

    Compiling takes 10 to 20 seconds per graph, and on a CPU needs a C++ compiler.
    """

    by_stages = False

    def __init__(
        self,
        generator: Generator,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        statistics_dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(generator, device, dtype, statistics_dtype)
        self._sizes: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        on_cpu = device.type == "cpu"
        self._traced = rewritten(self.module, [self.switch]) if on_cpu else self.module
        self._plain_graph = torch.compile(self._trace_plain)
        self._normalize_graph = torch.compile(self._trace_normalize)
        self._record_graph = torch.compile(self._trace_record)

    def plain(self, x: Tensor) -> Tensor:
        """See `GeneratorRunner`."""
        y: Tensor = self._run(self._plain_graph, x)
        return self._of_size(y, x)

    def normalize(self, x: Tensor, fields: FieldSource) -> Tensor:
        """See `GeneratorRunner`."""
        factors = [
            stacked([fields.field(call, i, h, w) for i in range(len(x))], fields.columns)
            for call, (h, w) in enumerate(self._feature_sizes(x))
        ]
        y: Tensor = self._run(self._normalize_graph, x, factors)
        return self._of_size(y, x)

    def record(self, x: Tensor, rule: MomentRule = AS_TRAINED) -> Moments:
        """See `GeneratorRunner`."""
        mean, std = self._run(self._record_graph, x, rule, dtype=self.statistics_dtype)
        return Moments(tuple(mean), tuple(std))

    def _run(
        self, graph: Callable[..., Any], *arguments: Any, dtype: torch.dtype | None = None
    ) -> Any:
        try:
            with torch.inference_mode(), self._precision(dtype):
                return graph(*arguments)
        except Exception as error:
            if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                reason = str(error).strip().splitlines()[0]
                raise OptionError(
                    f"--compile: torch cannot compile {self.name} here ({reason}); install a C++ "
                    "compiler (g++), or leave --compile out."
                ) from error
            raise

    # The traced functions. Each sets the switch itself, since a trace only sees what they call.

    def _trace_plain(self, x: Tensor) -> Tensor:
        self.switch.begin(plain_instance_norm)
        y: Tensor = self._traced(x)
        return y

    def _trace_normalize(self, x: Tensor, factors: list[Factors]) -> Tensor:
        self.switch.begin(_Normalize(factors))
        y: Tensor = self._traced(x)
        return y

    def _trace_record(self, x: Tensor, rule: MomentRule) -> tuple[list[Tensor], list[Tensor]]:
        action = Recorder(rule)
        self.switch.begin(action)
        self._traced(x)  # the compiler drops what the statistics do not depend on
        return action.mean, action.std

    def _feature_sizes(self, x: Tensor) -> list[tuple[int, int]]:
        """Height and width of the features at every norm call, without computing them."""
        key = tuple(x.shape)
        if key not in self._sizes:
            ghost = copy.deepcopy(self.module).to("meta")
            sizes: list[tuple[int, int]] = []

            def note(call: int, x: Tensor, eps: float, share: int = 1) -> Tensor:
                sizes.append((x.shape[-2], x.shape[-1]))
                return x

            with torch.inference_mode(), replace_norms(ghost).doing(note):
                ghost(torch.empty(key, device="meta"))
            self._sizes[key] = sizes
        return self._sizes[key]


class _Normalize:
    def __init__(self, factors: list[Factors]) -> None:
        self._factors = factors

    def __call__(self, call: int, x: Tensor, eps: float, share: int = 1) -> Tensor:
        mean, scale, cols, inverse, gaps = self._factors[call]
        centre, spread = _interpolated(mean, cols), _interpolated(scale, cols)
        if gaps is not None:
            fallback_mean, fallback_scale, deficit, gain = (part[:, None] for part in gaps)
            centre = (centre + fallback_mean[:, 0, :, None, None] * deficit) * gain
            spread = (spread + fallback_scale[:, 0, :, None, None] * deficit) * gain
        centred = x.float() - centre
        return (centred * spread if inverse else centred / spread).to(x.dtype)


def _interpolated(table: Tensor, cols: Tensor) -> Tensor:
    """[n, c, h, w], as a sum of products that the compiler merges into its pass over pixels."""
    total = table[..., 0, None] * cols[:, None, 0, None, :]
    for q in range(1, cols.shape[1]):
        total = total + table[..., q, None] * cols[:, None, q, None, :]
    return total
