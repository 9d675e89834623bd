"""A generator made ready for any number of images, with the normalizer that the user chose."""

import copy
import dataclasses
from collections.abc import Callable
from functools import cache, partial
from typing import Any, TypeVar

import torch

from uhrtranslate.engine import (
    DTYPES,
    Clock,
    CompiledRunner,
    GeneratorRunner,
    GeneratorTransform,
    Lanes,
    Transform,
    choose_batch,
    choose_devices,
    choose_tile,
    measure_halo,
)
from uhrtranslate.errors import OptionError
from uhrtranslate.geometry import CellGrid, TilePlan
from uhrtranslate.geometry.tiles import MIN_STEPS
from uhrtranslate.io import (
    SlideView,
    bilinear_thumbnail,
    thumbnail,
)
from uhrtranslate.models import Generator, load_generator
from uhrtranslate.normalizers import Normalizer
from uhrtranslate.options import TranslateOptions, parse_background
from uhrtranslate.recipes.precision import choose_precision
from uhrtranslate.tables import NORMALIZERS

Answer = TypeVar("Answer")
# What most generators of the field were trained on, where a checkpoint does not say.
USUAL_CELL = 512
# Options of a translation that change the bytes of its result.
OF_THE_RESULT = {
    "norm",
    "kernel",
    "kernel_type",
    "thumbnail",
    "pad",
    "precision",
    "stats_precision",
    "compile",
}


class Translator:
    """A generator made ready once, for any number of images, also at once; a `Recipe`.

    Args:
        options: how to translate.
        generator: goes before `options.model`.

    Raises:
        OptionError, CheckpointError: device, generator and options do not fit.
    """

    deep = False
    bits = 8
    deviation: float | None = None

    def __init__(self, options: TranslateOptions, generator: Generator | None = None) -> None:
        self.options = options
        devices = choose_devices(options.device)
        self.generator = generator or load_generator(options.model)
        self.lanes = Lanes(self._runners(devices))
        # Each asks the generator, which other images may be using; so once for all images.
        self._measure_halo, self._choose_tile, self._choose_batch = (
            cache(partial(_on_a_lane, self.lanes, ask))
            for ask in (measure_halo, choose_tile, choose_batch)
        )
        parse_background(options.background)  # wrong for one input is wrong for all
        self.mirrored = options.pad == "reflect"
        self.normalizer: Normalizer = NORMALIZERS[options.norm].chosen(options)
        stride = self.generator.info.stride
        self.cell = options.cell or self.generator.info.cell or USUAL_CELL
        for name, value in (("cell", self.cell), ("tile", options.tile), ("halo", options.halo)):
            if value is not None and value % stride:
                raise OptionError(
                    f"--{name} {value}: must be a multiple of {stride}, the generator's stride."
                )
        if self.cell < MIN_STEPS * stride:
            raise OptionError(
                f"--cell {self.cell}: the generator needs at least {MIN_STEPS * stride} px."
            )

    def _runners(self, devices: list[torch.device]) -> list[GeneratorRunner]:
        """One for each device, with weights of its own."""
        options = self.options
        kind = CompiledRunner if options.compile else GeneratorRunner
        dtype = DTYPES.get(options.precision, torch.float32)
        statistics = DTYPES[options.stats_precision] if options.stats_precision else None
        copies = [
            dataclasses.replace(self.generator, module=copy.deepcopy(self.generator.module))
            for _ in devices[1:]
        ]
        return [
            kind(generator, device, dtype, statistics)
            for generator, device in zip([self.generator, *copies], devices, strict=True)
        ]

    @property
    def runner(self) -> GeneratorRunner:
        """The first of the runners, for what is done while no image is at work."""
        return self.lanes.devices[0]

    def prepared(self, view: SlideView) -> "Translator":
        """See `Recipe`: with the precision `auto` chosen."""
        if self.options.precision != "auto":
            return self
        precision, deviation = _on_a_lane(self.lanes, choose_precision, view, self.cell)
        other = copy.copy(self)
        other.options = self.options.model_copy(update={"precision": precision})
        other.lanes = self.lanes.within(lambda runner: runner.at(DTYPES[precision]))
        other.deviation = deviation
        return other

    def with_view(self, options: TranslateOptions) -> "Translator":
        """The same generator for options that differ in level, mpp and region alone."""
        other = copy.copy(self)
        other.options = options
        return other

    @property
    def halo(self) -> int:
        """Halo in px around each tile: as asked for, as published, known, or measured."""
        if self.options.halo is not None:
            return self.options.halo
        if self.mirrored:
            return self.normalizer.published_halo
        known = self.generator.info.halo
        return self._measure_halo() if known is None else known

    def plan(self, width: int, height: int) -> TilePlan:
        """How an image of this size is cut."""
        if self.mirrored:
            tile = self.cell
        else:
            tile = self.options.tile or self._choose_tile(
                self.halo, self.cell, width, self.options.batch or 1
            )
        stride = self.generator.info.stride
        grid = CellGrid(width, height, self.cell)
        return TilePlan(grid, tile, self.halo, stride, self.mirrored)

    def batch(self, plan: TilePlan) -> int:
        """See `Recipe`."""
        return self.options.batch or self._choose_batch(plan.tile + 2 * plan.halo)

    @property
    def suffix(self) -> str:
        """See `Recipe`."""
        return self.options.norm

    def transform(self, view: SlideView, plan: TilePlan, clock: Clock) -> Transform:
        """See `Recipe`."""
        return GeneratorTransform(
            self.lanes, self.normalizer, plan, lambda: self._thumbnail(view), clock
        )

    def how(self) -> dict[str, Any]:
        """See `Recipe`."""
        options = self.options
        how = {
            "model": self.generator.name,
            "model_sha256": self.generator.digest,
            "domains": list(self.generator.info.domains),
            "norm": options.norm,
            "cell": self.cell,
            "halo": self.halo,
            "pad": options.pad,
            "precision": options.precision,
        }
        if options.stats_precision:
            how |= {"stats_precision": options.stats_precision}
        if options.norm == "kin":
            how |= {"kernel": options.kernel, "kernel_type": options.kernel_type}
        if options.norm == "tin":
            how |= {"thumbnail": options.thumbnail}
        return how

    def identity(self, plan: TilePlan) -> dict[str, Any]:
        """See `Recipe`."""
        return {
            "model": self.generator.digest,
            "device": self.runner.device.type,
            "cell": self.cell,
            "tile": plan.tile,
            "halo": plan.halo,
            "batch": self.batch(plan),
            **self.options.model_dump(mode="json", include=OF_THE_RESULT),
        }

    def facts(self, plan: TilePlan) -> dict[str, Any]:
        """See `Recipe`."""
        return {
            "model": self.generator.name,
            "norm": self.options.norm,
            "cell": self.cell,
            "halo": plan.halo,
            "pad": self.options.pad,
            "device": ",".join(str(runner.device) for runner in self.lanes.devices),
            "precision": self.options.precision,
        }

    def note(self, view: SlideView, plan: TilePlan) -> str:
        """See `Recipe`."""
        options = self.options
        precision = options.precision + (
            "" if self.deviation is None else f" ({self.deviation:.2f} grey levels from fp32)"
        )
        batch = self.batch(plan)
        return (
            f"{options.norm} on {self.facts(plan)['device']}, {precision}, "
            f"cells of {self.cell} px, "
            f"tiles of {plan.tile} px{f' by {batch}' if batch > 1 else ''}, "
            f"halo {plan.halo} px{self._advice(view)}"
        )

    def _advice(self, view: SlideView) -> str:
        """What to know where the image's resolution is not that of the training."""
        trained = self.generator.info.mpp
        if trained is None or view.mpp is None or 0.8 < view.mpp[0] / trained < 1.25:
            return ""
        finer = view.mpp[0] < trained
        remedy = f"; --mpp {trained:g} would match" if finer else ""
        return f" (at {view.mpp[0]:.3g} um/px, trained at {trained:g}{remedy})"

    def _thumbnail(self, view: SlideView) -> Any:
        """The whole image in one cell, with sides that the generator takes."""
        if self.options.thumbnail == "square" and self.options.norm == "tin":
            return bilinear_thumbnail(view, self.cell, self.cell)
        stride = self.generator.info.stride
        share = min(1.0, self.cell / max(view.width, view.height))
        width, height = (
            max(round(side * share / stride), MIN_STEPS) * stride
            for side in (view.width, view.height)
        )
        return thumbnail(view, width, height)


def _on_a_lane(
    lanes: Lanes[GeneratorRunner], ask: Callable[..., Answer], *arguments: Any
) -> Answer:
    """What `ask` finds out about a generator that nobody else uses meanwhile."""
    with lanes.borrowed() as runner:
        return ask(runner, *arguments)
