"""The main job: images through a generator, without seams."""

import copy
import dataclasses
import json
import os
import time
from functools import cached_property
from pathlib import Path
from typing import Any

from uhrtranslate import __version__
from uhrtranslate.engine import (
    DTYPES,
    GeneratorRunner,
    GeneratorTransform,
    Masking,
    choose_device,
    choose_tile,
    measure_halo,
    stream,
)
from uhrtranslate.errors import InputError, OptionError, OutputError, UhrError
from uhrtranslate.geometry import CellGrid, TilePlan
from uhrtranslate.geometry.tiles import MIN_STEPS
from uhrtranslate.io import (
    Found,
    OutputSpec,
    Pixels,
    Slide,
    SlideView,
    bilinear_thumbnail,
    check_complete,
    discard_state,
    fingerprint,
    open_slide,
    open_view,
    open_writer,
    suffix_of,
    thumbnail,
)
from uhrtranslate.metrics import seam_ratio
from uhrtranslate.models import Generator, load_generator
from uhrtranslate.normalizers import DN, KIN, TIN, Normalizer, PatchIN
from uhrtranslate.options import TranslateOptions, make_options
from uhrtranslate.tasks.events import Advanced, OnEvent, Started, TranslateResult
from uhrtranslate.tasks.masks import make_masking, parse_background
from uhrtranslate.tasks.outputs import plan_outputs
from uhrtranslate.tasks.preview import preview_path, write_preview

# What most generators of the field were trained on, where a checkpoint does not say.
USUAL_CELL = 512
# The mirroring of the methods' public code.
PUBLISHED_HALO = {"dn": 16, "kin": 0, "tin": 0, "in": 0}
# Options that change the bytes of a result; the others change how it is come by.
OF_THE_RESULT = {
    "norm", "kernel", "kernel_type", "thumbnail", "pad", "batch", "precision", "level", "mpp",
    "region", "background", "format", "compression", "quality", "keep_associated",
}  # fmt: skip
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
    suffix = f".{chosen.norm}{suffix_of(chosen.format)}"
    (target,) = plan_outputs([found], Path(output) if output else None, [suffix])
    return Translator(chosen, generator).translate_file(path, target, on_event)


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
        parse_background(options.background)  # wrong for one input is wrong for all
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

    def with_view(self, options: TranslateOptions) -> "Translator":
        """The same generator for options that differ in level, mpp and region alone."""
        other = copy.copy(self)
        other.options = options
        return other

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
        plan = self.plan(view.width, view.height)
        masking = make_masking(view, plan.grid, options.mask, options.background)
        spec = self._spec(view, masking)
        result = TranslateResult(
            input=slide.info.path,
            output=str(target),
            status="skipped",
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
            tiles=sum(len(list(masking.cut(plan, *band)[0])) for band in plan.bands()),
            tissue=None if options.mask == "none" else _share(masking),
        )
        incomplete = False
        if (options.skip_existing or options.resume) and os.path.lexists(target):
            if self._is_there(target, spec):
                on_event(result)
                return result
            incomplete = True
        # Asked before the work, not after it.
        preview = preview_path(target, options.overwrite) if options.preview else None
        transform = GeneratorTransform(
            self.runner, self.normalizer, plan, lambda: self._thumbnail(view)
        )
        with open_writer(
            target,
            spec,
            overwrite=options.overwrite or incomplete,
            workers=options.workers,
            job=self._job(view, plan, masking),
            resume=options.resume,
        ) as writer:
            on_event(
                Started(
                    slide.info.path,
                    str(target),
                    view.width * view.height,
                    self._note(view, plan, masking, writer.start),
                )
            )
            on_event(Advanced(writer.start * view.width))
            stream(
                view,
                transform,
                writer,
                batch=options.batch,
                workers=options.workers,
                progress=lambda pixels: on_event(Advanced(pixels)),
                start=writer.start,
                masking=masking,
            )
        if preview:
            write_preview(view, target, preview)
        result = dataclasses.replace(
            result,
            status="done",
            resumed=writer.start,
            seams=self._seams(view, target),
            seconds=round(time.perf_counter() - started, 3),
            preview=str(preview) if preview else None,
        )
        on_event(result)
        return result

    def _is_there(self, target: Path, spec: OutputSpec) -> bool:
        """Whether an output is complete, and what would be made.

        Raises:
            OutputError: it is complete, but something else.
        """
        try:
            found = check_complete(target)
        except InputError:
            return False
        if (found.width, found.height) != (spec.width, spec.height) or (
            found.description and found.description != spec.description
        ):
            raise OutputError(
                f"{target}: exists already and was made otherwise; use --overwrite or choose "
                "another name with -o."
            )
        discard_state(target)
        return True

    def _job(self, view: SlideView, plan: TilePlan, masking: Masking) -> dict[str, Any] | None:
        """What the result depends on, to the byte; None for what is no file."""
        path = Path(view.info.path)
        if not path.is_file():
            return None
        file = fingerprint(path)
        return {
            "input's size": file.size,
            "input's time": file.mtime_ns,
            "input's hash": file.quickhash,
            "model": self.generator.digest,
            "uhrt": __version__,
            "device": self.runner.device.type,
            "cell": self.cell,
            "tile": plan.tile,
            "halo": plan.halo,
            **self.options.model_dump(mode="json", include=OF_THE_RESULT),
            "mask": masking.cells.digest if masking.cells else "none",
        }

    def _note(self, view: SlideView, plan: TilePlan, masking: Masking, start: int) -> str:
        """How an image is translated, for people."""
        resumed = f", resumed at {start / view.height:.0%}" if start else ""
        tissue = "" if masking.cells is None else f", {masking.cells.share:.0%} of the cells"
        return (
            f"{self.options.norm} on {self.runner.device}, cells of {self.cell} px, "
            f"tiles of {plan.tile} px, halo {plan.halo} px{tissue}{resumed}{self._advice(view)}"
        )

    def _seams(self, view: SlideView, target: Path) -> float | None:
        """How much more the borders of cells show in the result than in the source."""
        try:
            with open_slide(target) as slide:
                before, after = (
                    seam_ratio(image.read, view.width, view.height, self.cell)
                    for image in (view, open_view(slide))
                )
        except (UhrError, OSError):
            return None  # the result is there, whole; only its figure is not
        return round(after / before, 3) if before and after else None

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

    def _spec(self, view: SlideView, masking: Masking) -> OutputSpec:
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
        if masking.cells:
            how |= {"mask": masking.cells.digest[:16], "background": options.background}
        if options.norm == "tin":
            how |= {"thumbnail": options.thumbnail}
        if options.region:
            how |= {"region": list(options.region)}
        return OutputSpec(
            width=view.width,
            height=view.height,
            mpp=view.mpp,
            icc_profile=view.info.icc_profile,
            exif=view.info.exif,
            format=options.format,
            objective_power=_power(view),
            position=(
                view.region[0] * view.width / view.region[2],
                view.region[1] * view.height / view.region[3],
            ),
            associated=_associated(view) if options.keep_associated else {},
            description=json.dumps(how),
            compression=options.compression,
            quality=options.quality,
        )


def _share(masking: Masking) -> float:
    """Cells that are computed, among all."""
    return 1.0 if masking.cells is None else round(masking.cells.share, 4)


def _power(view: SlideView) -> float | None:
    """The nominal magnification at which the view looks as it does."""
    power, base = view.info.objective_power, view.info.mpp
    if power is None:
        return None
    return power if base is None or view.mpp is None else round(power * base[0] / view.mpp[0], 3)


def _associated(view: SlideView) -> dict[str, Pixels]:
    """Label, macro image and thumbnail of a slide, as far as it has them."""
    names = ("thumbnail", "label", "macro")
    return {n: view.slide.associated_image(n) for n in names if n in view.info.associated}
