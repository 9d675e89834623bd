"""One image through a recipe, from the input file to the output file."""

import dataclasses
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uhrtranslate.engine import Clock, Transform, stream
from uhrtranslate.errors import InputError, OutputError, UhrError
from uhrtranslate.io import (
    OutputSpec,
    Slide,
    check_complete,
    discard_state,
    open_slide,
    open_view,
    open_writer,
    parsed,
)
from uhrtranslate.io.files.disk import output_errors
from uhrtranslate.metrics.seams.ratio import CHANNEL_SAMPLES, channel_seam_ratios, seam_ratio
from uhrtranslate.recipes.recipe import Recipe, Skipped
from uhrtranslate.runs.events import Advanced, ImageResult, OnComputed, OnEvent, Started
from uhrtranslate.runs.prepared import Prepared, opened, prepare
from uhrtranslate.runs.preview import preview_path, write_preview

# Bytes of an image's pixels that may stay in memory while the next image is computed.
SMALL = 64 << 20


def process_file(
    recipe: Recipe,
    path: Path | str,
    target: Path,
    on_event: OnEvent = lambda event: None,
    computed: OnComputed = lambda: None,
) -> ImageResult:
    """Run a recipe on an image file or URL, and write the result to another file.

    Calls `on_event` with the start, with progress and with the result.

    Args:
        recipe: what is done.
        path: of the image.
        target: of the result.
        on_event: called with every event.
        computed: called once the image, if it is small, is computed and only to be finished.

    Raises:
        UhrError: one sentence that says what is wrong with which file or option.
    """
    refuse_input_as_output(path, target)
    with opened(recipe, path) as slide:
        return process_slide(recipe, slide, target, on_event, computed)


def refuse_input_as_output(path: Path | str, target: Path) -> None:
    """Check that a result does not replace its source.

    Raises:
        OutputError: it would.
    """
    with suppress(OSError):  # a missing or unreadable file is reported when it is opened
        if target.samefile(path):
            raise OutputError(f"{target}: is the input itself; choose another output with -o.")


def process_slide(
    recipe: Recipe,
    slide: Slide,
    target: Path,
    on_event: OnEvent = lambda event: None,
    computed: OnComputed = lambda: None,
) -> ImageResult:
    """As `process_file`, for a slide that is open already, such as a `VirtualSlide`."""
    prepared = prepare(recipe, slide, target)
    found = begin(prepared, on_event)
    if isinstance(found, ImageResult):
        return found
    return compute(prepared, found, on_event, computed=computed)


def compute(
    prepared: Prepared,
    found: "Begun",
    on_event: OnEvent,
    again: bool = False,
    computed: OnComputed = lambda: None,
) -> ImageResult:
    """Compute an image from its first row, or from where an earlier run was, to its last.

    Args:
        prepared, found: the image, and what work on it begins with.
        on_event: called with every event.
        again: this run has begun the image before, and died: go on from where that was.
        computed: see `process_file`.

    Raises:
        UhrError: it cannot be read or written.
    """
    options, target = prepared.recipe.options, prepared.target
    view, plan, clock = prepared.view, prepared.plan, found.clock
    with open_writer(
        target,
        prepared.spec,
        overwrite=found.overwrite,
        workers=options.workers,
        job=prepared.job(),
        resume=options.resume or again,
    ) as writer:
        pixels = view.width * view.height + plan.work
        note = prepared.note(writer.start)
        on_event(Started(prepared.name, str(target), pixels, note, plan.warnings))
        on_event(Advanced(prepared.name, writer.start * view.width))
        stream(
            view,
            found.transform,
            writer,
            batch=plan.batch,
            workers=options.workers,
            progress=lambda pixels: on_event(Advanced(prepared.name, pixels, clock.shares)),
            start=writer.start,
            masking=prepared.masking,
            clock=clock,
        )
        spec = prepared.spec
        if spec.width * spec.height * spec.samples * spec.dtype.itemsize <= SMALL:
            computed()
    if options.profile:
        _write_trace(clock, options.profile)
    result = dataclasses.replace(
        finish(prepared),
        resumed=writer.start,
        seconds=round(time.perf_counter() - found.started, 3),
        stages={stage: round(seconds, 3) for stage, seconds in clock.seconds.items()},
        device_seconds=round(clock.device_seconds, 3) or None,
    )
    on_event(result)
    return result


@dataclass(frozen=True)
class Begun:
    """What work on an image begins with.

    Attributes:
        transform: what is streamed.
        clock: measures it.
        overwrite: whether the writer may replace what is there.
        started: when, in seconds of the performance counter.
    """

    transform: Transform
    clock: Clock
    overwrite: bool
    started: float


def begin(prepared: Prepared, on_event: OnEvent, again: bool = False) -> Begun | ImageResult:
    """Find out whether an image is to be worked on at all; if not, its result is known.

    Args:
        prepared: the image.
        on_event: called with that result.
        again: see `compute`.

    Raises:
        UhrError: its output is there, and was made in another way; or it cannot be worked on.
    """
    options, target = prepared.recipe.options, prepared.target
    result, incomplete = prepared.result, False
    # A result that this run has made before it died; one that it was to replace is made again.
    is_ours = again and not options.overwrite
    if (options.skip_existing or options.resume or is_ours) and os.path.lexists(target):
        if _is_there(target, prepared.spec):
            on_event(result)
            return result
        incomplete = True
    if options.preview:  # one that exists must be refused before the work, not after it
        preview_path(target, options.overwrite)
    clock = Clock(traced=options.profile is not None)
    try:
        transform = prepared.plan.transform(clock)
    except Skipped as reason:
        result = dataclasses.replace(result, output=None, error=str(reason))
        on_event(result)
        return result
    return Begun(transform, clock, options.overwrite or incomplete, prepared.started)


def finish(prepared: Prepared) -> ImageResult:
    """What there is to say and to draw of an image once its output is there.

    Raises:
        OutputError: its preview cannot be written.
    """
    view, target, options = prepared.view, prepared.target, prepared.recipe.options
    preview = None
    if options.preview:
        preview = preview_path(target, options.overwrite)
        write_preview(view, target, preview)
    return dataclasses.replace(
        prepared.result,
        status="done",
        **({} if prepared.plan.seamless else _seams(prepared)),
        preview=str(preview) if preview else None,
    )


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


def _seams(prepared: Prepared) -> dict[str, Any]:
    """How much more visible the borders of a grid are in the result than in the source.

    These are facts of `ImageResult`; of channels also the one in which they are most visible.
    """
    view, channels = prepared.view, bool(prepared.spec.channels)
    try:
        with open_slide(prepared.target, deep=channels, channels=channels) as slide:
            after, names = open_view(slide), [channel.name for channel in slide.info.channels]
            size = view.width, view.height, prepared.plan.tiles.spacing
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
