"""An image that is about to be worked on: everything that is known before its first pixel."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uhrtranslate.engine import Masking
from uhrtranslate.io import OutputSpec, Pixels, Slide, SlideView, open_slide, open_view, stated_by
from uhrtranslate.io.writers.output_spec import tile_side
from uhrtranslate.options import ImageOptions
from uhrtranslate.recipes.recipe import ImagePlan, Recipe
from uhrtranslate.runs.events import ImageResult
from uhrtranslate.runs.masks import make_masking
from uhrtranslate.version import __version__

# Options that change no byte of a result, or whose effect on an image is recorded in its plan.
NOT_OF_THE_JOB = {
    "preview", "overwrite", "resume", "skip_existing", "workers", "profile", "at_once",
    "allow_sparse", "cluster", "split", "without_tls",
    "model", "device", "cell", "tile", "halo", "overlap", "blend", "batch", "precision",
    "compile", "mask", "pool",
}  # fmt: skip
# The part of the provenance that a result repeats.
FACTS = ("norm", "cell", "halo", "overlap", "blend", "pad", "precision")


@dataclass(frozen=True)
class Prepared:
    """An image, and what is to become of it.

    Attributes:
        recipe, view, plan, masking: what is done, to which pixels.
        spec: of the output.
        target: path of the output.
        result: what is known of it so far.
        started: when this began, in seconds of the performance counter.
    """

    recipe: Recipe
    view: SlideView
    plan: ImagePlan
    masking: Masking
    spec: OutputSpec
    target: Path
    result: ImageResult
    started: float

    @property
    def name(self) -> str:
        """Of the input."""
        return self.view.info.path

    def job(self) -> dict[str, Any] | None:
        """Everything that the result's bytes depend on; None if the input may change unnoticed."""
        return _job(self.recipe, self.plan, self.view, self.masking)

    def note(self, start: int) -> str:
        """What the user is told when work begins at row `start`."""
        return _note(self.plan, self.view, self.masking, start)


@contextmanager
def opened(recipe: Recipe, path: Path | str) -> Iterator[Slide]:
    """The slide that a recipe works on, open within the block.

    Raises:
        InputError: it cannot be read.
    """
    deep, sparse = recipe.bits_in > 8, recipe.options.allow_sparse
    stated = stated_by(recipe.options)
    with open_slide(path, deep, sparse, recipe.takes_channels, stated) as slide:
        yield recipe.seen(slide)


def prepare(recipe: Recipe, slide: Slide, target: Path) -> Prepared:
    """Decide everything about an image.

    Raises:
        UhrError: recipe, options and image do not fit together.
    """
    started, options = time.perf_counter(), recipe.options
    view = open_view(slide, options.level, options.mpp, options.region)
    plan = recipe.plan(view)
    plan.warnings.update(warnings_of(view))
    tiles = plan.tiles
    masking = make_masking(view, tiles.grid, options.mask, options.background, recipe)
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
    spec = _spec(recipe, plan, view, masking)
    return Prepared(recipe, view, plan, masking, spec, target, result, started)


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


def _job(
    recipe: Recipe, plan: ImagePlan, view: SlideView, masking: Masking
) -> dict[str, Any] | None:
    """Everything that the result's bytes depend on; None if the input may change unnoticed."""
    source = view.slide.fingerprint()
    if source is None:
        return None
    return {
        **source.facts(),
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
