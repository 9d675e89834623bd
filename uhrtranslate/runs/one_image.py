"""One image through a recipe, from the input file to the output file."""

import dataclasses
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from uhrtranslate.engine import Clock, Masking, stream
from uhrtranslate.errors import InputError, OutputError, UhrError
from uhrtranslate.io import (
    OutputSpec,
    Pixels,
    Slide,
    SlideView,
    check_complete,
    discard_state,
    open_slide,
    open_view,
    open_writer,
    parsed,
    stated_by,
)
from uhrtranslate.io.files.disk import output_errors
from uhrtranslate.io.writers.output_spec import tile_side
from uhrtranslate.metrics.seams.ratio import CHANNEL_SAMPLES, channel_seam_ratios, seam_ratio
from uhrtranslate.options import ImageOptions
from uhrtranslate.recipes.recipe import ImagePlan, Recipe, Skipped
from uhrtranslate.runs.events import Advanced, ImageResult, OnEvent, Started
from uhrtranslate.runs.masks import make_masking
from uhrtranslate.runs.preview import preview_path, write_preview
from uhrtranslate.version import __version__

# Options that change no byte of a result, or whose effect on an image is recorded in its plan.
NOT_OF_THE_JOB = {
    "preview", "overwrite", "resume", "skip_existing", "workers", "profile", "at_once",
    "allow_sparse", "cluster", "split", "without_tls",
    "model", "device", "cell", "tile", "halo", "overlap", "blend", "batch", "precision",
    "mask", "pool",
}  # fmt: skip
# The part of the provenance that a result repeats.
FACTS = ("norm", "cell", "halo", "overlap", "blend", "pad", "precision")


def process_file(
    recipe: Recipe,
    path: Path | str,
    target: Path,
    on_event: OnEvent = lambda event: None,
    again: bool = False,
) -> ImageResult:
    """Run a recipe on an image file or URL, and write the result to another file.

    Calls `on_event` with the start, with progress and with the result.

    Args:
        recipe: what is done.
        path: of the image.
        target: of the result.
        on_event: called with every event.
        again: this run has begun the image before, and died: go on from where that was.

    Raises:
        UhrError: one sentence that says what is wrong with which file or option.
    """
    with suppress(OSError):  # a missing or unreadable file is reported when it is opened
        if target.samefile(path):
            raise OutputError(f"{target}: is the input itself; choose another output with -o.")
    deep, sparse = recipe.bits_in > 8, recipe.options.allow_sparse
    stated = stated_by(recipe.options)
    with open_slide(path, deep, sparse, recipe.takes_channels, stated) as slide:
        return process_slide(recipe, recipe.seen(slide), target, on_event, again)


def process_slide(
    recipe: Recipe,
    slide: Slide,
    target: Path,
    on_event: OnEvent = lambda event: None,
    again: bool = False,
) -> ImageResult:
    """As `process_file`, for a slide that is open already, such as a `VirtualSlide`."""
    started = time.perf_counter()
    options = recipe.options
    view = open_view(slide, options.level, options.mpp, options.region)
    plan = recipe.plan(view)
    plan.warnings.update(warnings_of(view))
    tiles = plan.tiles
    masking = make_masking(view, tiles.grid, options.mask, options.background, recipe)
    spec = _spec(recipe, plan, view, masking)
    result = ImageResult(
        input=slide.info.path,
        output=str(target),
        status="skipped",
        width=view.width,
        height=view.height,
        mpp=view.mpp,
        model=plan.provenance.get("model", recipe.suffix),
        tile=tiles.tile,
        tiles=sum(len(list(masking.cut(tiles, *band)[0])) for band in tiles.bands()),
        tissue=None if options.mask == "none" else _share(masking),
        mismatch=plan.mismatch,
        warnings=plan.warnings,
        device=",".join(map(str, plan.devices)) or None,
        **{name: plan.provenance.get(name) for name in FACTS},
    )
    incomplete = False
    # A result that this run has made before it died; one that it was to replace is made again.
    is_ours = again and not options.overwrite
    if (options.skip_existing or options.resume or is_ours) and os.path.lexists(target):
        if _is_there(target, spec):
            on_event(result)
            return result
        incomplete = True
    # A preview that exists already must be refused before the work, not after it.
    preview = preview_path(target, options.overwrite) if options.preview else None
    clock = Clock(traced=options.profile is not None)
    try:
        transform = plan.transform(clock)
    except Skipped as reason:
        result = dataclasses.replace(result, output=None, error=str(reason))
        on_event(result)
        return result
    with open_writer(
        target,
        spec,
        overwrite=options.overwrite or incomplete,
        workers=options.workers,
        job=_job(recipe, plan, view, masking),
        resume=options.resume or again,
    ) as writer:
        note = _note(plan, view, masking, writer.start)
        pixels = view.width * view.height
        on_event(Started(slide.info.path, str(target), pixels, note, plan.warnings))
        on_event(Advanced(slide.info.path, writer.start * view.width))
        stream(
            view,
            transform,
            writer,
            batch=plan.batch,
            workers=options.workers,
            progress=lambda pixels: on_event(Advanced(slide.info.path, pixels, clock.shares)),
            start=writer.start,
            masking=masking,
            clock=clock,
        )
    if options.profile:
        _write_trace(clock, options.profile)
    if preview:
        write_preview(view, target, preview)
    result = dataclasses.replace(
        result,
        status="done",
        resumed=writer.start,
        **_seams(view, target, tiles.spacing, bool(spec.channels)),
        seconds=round(time.perf_counter() - started, 3),
        stages={stage: round(seconds, 3) for stage, seconds in clock.seconds.items()},
        device_seconds=round(clock.device_seconds, 3) or None,
        preview=str(preview) if preview else None,
    )
    on_event(result)
    return result


def warnings_of(view: SlideView) -> dict[str, str]:
    """What may be wrong with a source, whatever is done to it; see `ImagePlan`."""
    info = view.info
    if info.overruled_mpp is None or info.mpp is None:
        return {}
    said, stated = info.overruled_mpp[0], info.mpp[0]
    return {
        "stated": f"{info.path}: says that it has {said:.4g} um/px, and is taken for "
        f"{stated:.4g}, as you state."
    }


def _write_trace(clock: Clock, target: Path) -> None:
    """Write a trace; to `trace-2.json` if `trace.json` is taken."""
    path, number = target, 1
    with output_errors(target):
        while True:
            try:
                path.touch(exist_ok=False)  # so that no other image takes the name
                break
            except FileExistsError:
                number += 1
                path = target.with_stem(f"{target.stem}-{number}")
        clock.write_trace(path)


def _is_there(target: Path, spec: OutputSpec) -> bool:
    """Whether an output is complete and the same as would be made now.

    Raises:
        OutputError: it is complete, but was made in another way.
    """
    try:
        found = check_complete(target)
    except InputError:
        return False
    if (found.width, found.height) != (spec.width, spec.height) or (
        found.description and _method(found.description) != _method(spec.description)
    ):
        raise OutputError(
            f"{target}: exists already and was made otherwise; use --overwrite or choose "
            "another name with -o."
        )
    discard_state(target)
    return True


def _method(description: str) -> Any:
    """What a description says of how a result is made, without what was measured of it."""
    facts = parsed(description)
    facts.pop("mismatch", None)
    return facts or description


def _job(
    recipe: Recipe, plan: ImagePlan, view: SlideView, masking: Masking
) -> dict[str, Any] | None:
    """Everything that the result's bytes depend on; None if the input may change unnoticed."""
    source = view.slide.fingerprint()
    if source is None:
        return None
    return {
        "input's size": source.size,
        "input's time": source.mtime_ns,
        "input's hash": source.quickhash,
        "uhrt": __version__,
        **plan.provenance,
        **plan.beside,
        "device": plan.devices[0].type if plan.devices else None,
        "tile": plan.tiles.tile,
        "batch": plan.batch,
        **recipe.options.model_dump(mode="json", exclude=NOT_OF_THE_JOB),
        "mask": masking.cells.digest if masking.cells else "none",
    }


def _note(plan: ImagePlan, view: SlideView, masking: Masking, start: int) -> str:
    """What the user is told when work on an image begins."""
    note = plan.note
    if masking.cells is not None:
        note += f", {masking.cells.share:.0%} of the cells"
    return f"{note}, resumed at {start / view.height:.0%}" if start else note


def _seams(view: SlideView, target: Path, spacing: int, channels: bool) -> dict[str, Any]:
    """How much more visible the borders of a grid are in the result than in the source.

    These are facts of `ImageResult`; of channels also the one in which they are most visible.
    """
    try:
        with open_slide(target, deep=channels, channels=channels) as slide:
            after, names = open_view(slide), [channel.name for channel in slide.info.channels]
            size = view.width, view.height, spacing
            few = {"samples": CHANNEL_SAMPLES} if channels or view.info.channels else {}
            own, made = (seam_ratio(image.read, *size, **few) for image in (view, after))
            if not own or not made:
                return {}
            each = channel_seam_ratios(after.read, *size) if channels else None
    except (UhrError, OSError):
        return {}  # the result is complete all the same; only this figure is missing
    found: dict[str, Any] = {"seams": round(made / own, 3)}
    if each:
        ratio, name = max(zip(each, names, strict=True))
        found |= {"worst_channel": name, "worst_seams": round(ratio / own, 3)}
    return found


def _spec(recipe: Recipe, plan: ImagePlan, view: SlideView, masking: Masking) -> OutputSpec:
    options = recipe.options
    how = {"software": f"uhrtranslate {__version__}", **plan.provenance}
    if masking.cells:
        how |= {"mask": masking.cells.digest[:16], "background": options.background}
    how |= _part_of_source(options, view)
    if plan.mismatch is not None:
        how |= {"mismatch": plan.mismatch}
    return OutputSpec(
        width=view.width,
        height=view.height,
        mpp=view.mpp,
        icc_profile=None if recipe.channels else view.info.icc_profile,
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
        bits=recipe.bits_out,
        tile=tile_side(len(recipe.channels) or 3, recipe.bits_out),
        channels=recipe.channels,
        shown=recipe.shown,
    )


def _part_of_source(options: ImageOptions, view: SlideView) -> dict[str, Any]:
    """Which part of the source at which resolution; nothing if all of level 0."""
    chosen = {name: getattr(options, name) for name in ("level", "mpp", "region")}
    found = {name: value for name, value in chosen.items() if value is not None}
    if not found:
        return {}
    if stated := stated_by(options):
        found["source_mpp"] = stated.mpp
    return {**found, "source_size": [view.info.width, view.info.height]}


def _share(masking: Masking) -> float:
    """The share of cells that are computed."""
    return 1.0 if masking.cells is None else round(masking.cells.share, 4)


def _power(view: SlideView) -> float | None:
    """The objective power that corresponds to the view's resolution."""
    power, base = view.info.objective_power, view.info.mpp
    if power is None:
        return None
    return power if base is None or view.mpp is None else round(power * base[0] / view.mpp[0], 3)


def _associated(view: SlideView) -> dict[str, Pixels]:
    """The label, macro image and thumbnail that a slide has."""
    names = ("thumbnail", "label", "macro")
    return {n: view.slide.associated_image(n) for n in names if n in view.info.associated}
