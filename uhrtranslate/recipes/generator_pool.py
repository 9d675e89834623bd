"""A generator on its devices, shared by all images it translates."""

import copy
import dataclasses
from collections.abc import Callable
from functools import cache, cached_property, partial
from typing import Any, TypeVar

import torch

from uhrtranslate.engine import (
    DTYPES,
    Covariance,
    GeneratorRunner,
    Lanes,
    choose_batch,
    choose_devices,
    choose_runner,
    choose_tile,
    forget_running_statistics,
    measure_covariance,
    measure_halo,
)
from uhrtranslate.errors import OptionError
from uhrtranslate.models import Generator, load_generator
from uhrtranslate.options import TranslateOptions
from uhrtranslate.recipes.remembered import remembered_halo

Answer = TypeVar("Answer")


class GeneratorPool:
    """A generator, loaded once on each of its devices, for any number of images at once.

    Args:
        options: only those in `IDENTITY` matter.
        generator: used instead of `options.model`.

    Attributes:
        compiled: whether its forwards are compiled code.
        forwards: the same in words, with the reason if nobody chose it.

    Raises:
        OptionError, CheckpointError: device, generator and options do not fit together.
    """

    # Options a pool depends on; translations that agree on them can share one.
    IDENTITY = frozenset(
        {"model", "device", "precision", "stats_precision", "compile", "batch_statistics"}
    )

    def __init__(self, options: TranslateOptions, generator: Generator | None = None) -> None:
        self.devices = tuple(choose_devices(options.device))
        self.generator = generator or load_generator(options.model)
        self._from_file, self._batch_statistics = generator is None, options.batch_statistics
        if self.generator.info.opaque and options.compile:
            raise OptionError(
                f"--compile: {self.generator.name} is TorchScript, which is compiled already; "
                "leave the option out."
            )
        kind, self.forwards = choose_runner(
            self.devices[0], options.compile, self.generator.info.opaque
        )
        self.compiled = kind is not GeneratorRunner
        if options.batch_statistics:
            module = copy.deepcopy(self.generator.module)
            if not forget_running_statistics(module):
                raise OptionError(
                    f"--batch-statistics: {self.generator.name} has no batch norm with running "
                    "statistics; leave the option out."
                )
            self.generator = dataclasses.replace(self.generator, module=module)
        if self.devices[0].type == "cuda":
            # Some of cuDNN's transposed convolutions add up in any order; the same job shall give
            # the same bytes.
            torch.backends.cudnn.deterministic = True
        self._precision = options.precision
        dtype = DTYPES.get(options.precision, torch.float32)
        statistics = DTYPES[options.stats_precision] if options.stats_precision else None
        copies = [
            dataclasses.replace(self.generator, module=copy.deepcopy(self.generator.module))
            for _ in self.devices[1:]
        ]
        self._lanes = Lanes(
            [
                kind(generator, device, dtype, statistics)
                for generator, device in zip([self.generator, *copies], self.devices, strict=True)
            ]
        )
        # Each occupies the generator, which other images may need; so ask once for all of them.
        self.choose_tile, self.choose_batch = (
            cache(partial(self.ask, question)) for question in (choose_tile, choose_batch)
        )

    @cached_property
    def halo(self) -> int:
        """Radius of the receptive field in px: known, or measured when first asked for."""
        known, measure = self.generator.info.halo, partial(self.ask, measure_halo)
        if known is not None:
            return known
        if not self._from_file:
            return measure()
        return remembered_halo(self.generator, self.devices[0], self._batch_statistics, measure)

    @cached_property
    def norm_layers(self) -> int:
        """Norm layers of the generator that follow the normalizer."""
        layers: int = self.ask(lambda runner: runner.switch.layers)
        return layers

    @cached_property
    def covariance(self) -> Covariance:
        """Whether tiles must be blended, and where they may begin: known, or measured."""
        info = self.generator.info
        if info.covariant is None:
            measured = self.ask(measure_covariance)
            return dataclasses.replace(measured, period=info.period or measured.period)
        return Covariance(info.covariant, info.period or info.stride)

    def at(self, precision: str) -> Lanes[GeneratorRunner]:
        """The devices, set to a precision."""
        if precision == self._precision:
            return self._lanes
        return self._lanes.within(lambda runner: runner.at(DTYPES[precision]))

    def ask(self, question: Callable[..., Answer], *arguments: Any) -> Answer:
        """Call a question with a runner that nobody else uses meanwhile, and the arguments."""
        return self._lanes.ask(lambda runner: question(runner, *arguments))
