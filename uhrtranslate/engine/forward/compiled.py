"""The forwards of a generator as graphs that `torch.compile` makes: same function, fewer passes.

The graphs' inputs are pixels and the small factors of the fields, so one graph serves all tiles of
a shape. Interpolation, normalization and activation become one pass over memory, and the
statistics pass computes nothing after its last norm layer. `GeneratorRunner` is the reference;
results differ from it by rounding.
"""

import copy
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from uhrtranslate.engine.forward.layers import replace_norms
from uhrtranslate.engine.forward.runner import GeneratorRunner
from uhrtranslate.engine.statistics.factors import Factors, stacked
from uhrtranslate.engine.statistics.moments import Moments
from uhrtranslate.errors import OptionError
from uhrtranslate.models import Generator

# Of batches, in a process; torch's own limit is 8.
MOST_SHAPES = 4096
_log = logging.getLogger(__name__)


class CompiledRunner(GeneratorRunner):
    """A `GeneratorRunner`, with the same arguments, that compiles its forwards for each new shape.

    For GPUs; compiling takes 6 to 30 seconds per shape. Each shape is compiled once, and only once:
    by default torch compiles the second one for any size, and gives up after eight.
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
        quieten_torch()
        self._plain_graph = torch.compile(self._trace_plain, dynamic=False)
        self._normalize_graph = torch.compile(self._trace_normalize, dynamic=False)
        self._record_graph = torch.compile(self._trace_record, dynamic=False)

    def plain(self, x: Tensor) -> Tensor:
        """See `GeneratorRunner`."""
        y: Tensor = self._run(self._plain_graph, x, AS_TRAINED)
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
            with torch.inference_mode(), self._precision(dtype), _without_limit():
                # As at the beginning of each trace: torch compiles anew if it finds another state.
                self.switch.begin(plain_instance_norm)
                return graph(*arguments)
        except Exception as error:
            if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                reason = str(error).strip().splitlines()[0]
                raise OptionError(
                    f"--compile: torch cannot compile {self.name} here ({reason}); leave "
                    "--compile out."
                ) from error
            raise

    # The traced functions. Each sets the switch itself, since a trace only sees what they call.

    def _trace_plain(self, x: Tensor, rule: MomentRule) -> Tensor:
        self.switch.begin(Recorder(rule))
        y: Tensor = self.module(x)
        return y

    def _trace_normalize(self, x: Tensor, factors: list[Factors]) -> Tensor:
        self.switch.begin(_Normalize(factors))
        y: Tensor = self.module(x)
        return y

    def _trace_record(self, x: Tensor, rule: MomentRule) -> tuple[list[Tensor], list[Tensor]]:
        action = Recorder(rule)
        self.switch.begin(action)
        self.module(x)  # the compiler drops what the statistics do not depend on
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


@contextmanager
def _without_limit() -> Iterator[None]:
    """Let torch compile as many shapes as tiles have."""
    config: Any = torch._dynamo.config
    names = ("recompile_limit", "cache_size_limit"), ("accumulated_recompile_limit",)
    known = {next((name for name in some if hasattr(config, name)), None) for some in names}
    with config.patch({name: MOST_SHAPES for name in known if name}):
        yield


def quieten_torch() -> None:
    """Send what torch's compiler tells to our debug log, unless TORCH_LOGS asks for it."""
    if os.environ.get("TORCH_LOGS"):
        return
    for name in ("torch._dynamo", "torch._inductor", "torch._functorch"):
        logger = logging.getLogger(name)
        logger.propagate = False
        if not any(isinstance(handler, _ToDebug) for handler in logger.handlers):
            logger.handlers = [_ToDebug()]
    warnings.filterwarnings("ignore", module=r"torch\._(dynamo|inductor|functorch)\b")


class _ToDebug(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _log.debug("%s: %s", record.name, record.getMessage())


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
