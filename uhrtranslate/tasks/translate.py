"""The main job: images through a generator, without seams."""

import json
import logging
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from uhrtranslate import __version__
from uhrtranslate.engine import (
    DTYPES,
    GeneratorRunner,
    GeneratorTransform,
    choose_device,
    choose_tile,
    measure_halo,
    stream,
)
from uhrtranslate.errors import OptionError, OutputError, UhrError
from uhrtranslate.geometry import CellGrid, TilePlan
from uhrtranslate.geometry.tiles import MIN_STEPS
from uhrtranslate.io import (
    Found,
    Missing,
    OutputSpec,
    Slide,
    SlideView,
    bilinear_thumbnail,
    open_slide,
    open_view,
    open_writer,
    thumbnail,
)
from uhrtranslate.models import Generator, load_generator
from uhrtranslate.normalizers import DN, KIN, TIN, Normalizer, PatchIN
from uhrtranslate.options import TranslateOptions, make_options
from uhrtranslate.tasks.events import Advanced, OnEvent, Started, TranslateResult
from uhrtranslate.tasks.outputs import plan_outputs
from uhrtranslate.tasks.preview import preview_path, write_preview

_log = logging.getLogger(__name__)

# What most generators of the field were trained on, where a checkpoint does not say.
USUAL_CELL = 512
# The mirroring of the methods' public code.
PUBLISHED_HALO = {"dn": 16, "kin": 0, "tin": 0, "in": 0}
# Added to std before its reciprocal, in DN's public code.
PUBLISHED_DN_EPS = 1e-7


def translate(
    source: str | Path,
    output: str | Path | None = None,
    *,
    generator: Generator | None = None,
    on_event: OnEvent = lambda event: None,
    **options: Any,
) -> TranslateResult:
    """Translate one slide or photo.

    Args:
        source: path of the image.
        output: path of the result (.tif, .png, .jpg, ...) or a folder; None writes beside the
            source, `slide.svs` to `slide.dn.tif`.
        generator: a loaded generator, which goes before the option `model`.
        on_event: told of the start, of progress and of the result.
        **options: fields of `TranslateOptions`, as `norm="dn"`, `model="latest_net_G.pth"`.

    Returns:
        What was made, and how.

    Raises:
        UhrError: one sentence that says what is wrong with which file or option.
    """
    chosen = make_options(options)
    path = Path(source)
    found = Found(path, path.parent)
    target = plan_outputs([found], Path(output) if output else None, f".{chosen.norm}.tif")[0]
    return Translator(chosen, generator).translate_file(path, target, on_event)


def translate_many(
    inputs: Sequence[Found | Missing],
    output: Path | None,
    options: TranslateOptions,
    on_event: OnEvent = lambda event: None,
) -> list[TranslateResult]:
    """Translate several images with one generator; those that fail do not stop the others.

    Args:
        inputs: as `io.expand_inputs` finds them.
        output: a file for one input, else a folder; None writes beside the inputs.
        options: how.
        on_event: told of each start, progress, and each result, failures included.

    Raises:
        OptionError, CheckpointError: nothing can be translated with these options.
    """
    found = [item for item in inputs if isinstance(item, Found)]
    targets = dict(zip(found, plan_outputs(found, output, f".{options.norm}.tif"), strict=True))
    translator = Translator(options)
    results = []
    for item in inputs:
        name = str(item.path) if isinstance(item, Found) else item.item
        try:
            if isinstance(item, Missing):
                raise item.error
            result = translator.translate_file(item.path, targets[item], on_event)
        except Exception as error:
            _log.debug("%s failed", name, exc_info=True)
            sentence = _sentence(name, error)
            result = TranslateResult(input=name, output=None, status="failed", error=sentence)
            on_event(result)
        results.append(result)
    return results


def _sentence(name: str, error: Exception) -> str:
    """What to tell a user of an error that ended one input of many."""
    if isinstance(error, UhrError):
        return str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return f"{name}: memory is not enough; use a smaller --tile or --batch."
    return f"{name}: failed unexpectedly ({type(error).__name__}: {error}); --debug tells more."


class Translator:
    """A generator made ready once, for any number of images.

    Args:
        options: how to translate.
        generator: goes before `options.model`.

    Raises:
        OptionError, CheckpointError: device, generator and options do not fit.
    """

    def __init__(self, options: TranslateOptions, generator: Generator | None = None) -> None:
        self.options = options
        device = choose_device(options.device)
        self.generator = generator or load_generator(options.model)
        self.runner = GeneratorRunner(self.generator, device, DTYPES[options.precision])
        self.mirrored = options.pad == "reflect"
        self.normalizer = self._normalizer()
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

    def _normalizer(self) -> Normalizer:
        match self.options.norm:
            case "in":
                return PatchIN()
            case "tin":
                return TIN()
            case "kin":
                return KIN(kernel=self.options.kernel, kernel_type=self.options.kernel_type)
            case "dn":
                return DN(reciprocal_eps=PUBLISHED_DN_EPS if self.mirrored else 0.0)

    @cached_property
    def halo(self) -> int:
        """Halo in px around each tile: as asked for, as published, known, or measured."""
        if self.options.halo is not None:
            return self.options.halo
        if self.mirrored:
            return PUBLISHED_HALO[self.options.norm]
        known = self.generator.info.halo
        return measure_halo(self.runner) if known is None else known

    def plan(self, width: int, height: int) -> TilePlan:
        """How an image of this size is cut."""
        if self.mirrored:
            tile = self.cell
        else:
            tile = self.options.tile or choose_tile(
                self.runner, self.halo, self.cell, width, self.options.batch
            )
        stride = self.generator.info.stride
        grid = CellGrid(width, height, self.cell)
        return TilePlan(grid, tile, self.halo, stride, self.mirrored)

    def translate_file(
        self, path: Path, target: Path, on_event: OnEvent = lambda event: None
    ) -> TranslateResult:
        """Translate one image; see `translate`."""
        if target.exists() and path.exists() and target.samefile(path):
            raise OutputError(f"{target}: is the input itself; choose another output with -o.")
        with open_slide(path) as slide:
            return self.translate_slide(slide, target, on_event)

    def translate_slide(
        self, slide: Slide, target: Path, on_event: OnEvent = lambda event: None
    ) -> TranslateResult:
        """Translate an open slide, a `VirtualSlide` for instance; see `translate`."""
        started = time.perf_counter()
        options = self.options
        view = open_view(slide, options.level, options.mpp, options.region)
        # Asked before the work, not after it.
        preview = preview_path(target, options.overwrite) if options.preview else None
        plan = self.plan(view.width, view.height)
        transform = GeneratorTransform(
            self.runner, self.normalizer, plan, lambda: self._thumbnail(view)
        )
        with open_writer(
            target, self._spec(view), overwrite=options.overwrite, workers=options.workers
        ) as writer:
            note = (
                f"{options.norm} on {self.runner.device}, cells of {self.cell} px, "
                f"tiles of {plan.tile} px, halo {plan.halo} px{self._advice(view)}"
            )
            on_event(Started(slide.info.path, str(target), view.width * view.height, note))
            stream(
                view,
                transform,
                writer,
                batch=options.batch,
                workers=options.workers,
                progress=lambda pixels: on_event(Advanced(pixels)),
            )
        if preview:
            write_preview(view, target, preview)
        result = TranslateResult(
            input=slide.info.path,
            output=str(target),
            status="done",
            width=view.width,
            height=view.height,
            mpp=view.mpp,
            model=self.generator.name,
            norm=options.norm,
            cell=self.cell,
            tile=plan.tile,
            halo=plan.halo,
            pad=options.pad,
            device=str(self.runner.device),
            precision=options.precision,
            seconds=round(time.perf_counter() - started, 3),
            preview=str(preview) if preview else None,
        )
        on_event(result)
        return result

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

    def _spec(self, view: SlideView) -> OutputSpec:
        options = self.options
        how = {
            "software": f"uhrtranslate {__version__}",
            "model": self.generator.name,
            "model_sha256": self.generator.digest,
            "domains": list(self.generator.info.domains),
            "norm": options.norm,
            "cell": self.cell,
            "halo": self.halo,
            "pad": options.pad,
            "precision": options.precision,
        }
        if options.norm == "kin":
            how |= {"kernel": options.kernel, "kernel_type": options.kernel_type}
        if options.norm == "tin":
            how |= {"thumbnail": options.thumbnail}
        return OutputSpec(
            width=view.width,
            height=view.height,
            mpp=view.mpp,
            icc_profile=view.info.icc_profile,
            exif=view.info.exif,
            description=json.dumps(how),
            compression=options.compression,
            quality=options.quality,
        )
