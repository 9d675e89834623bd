"""Measure images one by one, with all figures of the table."""

import time
from contextlib import ExitStack
from pathlib import Path

from uhrtranslate.engine.sources.warped import WarpedSlide
from uhrtranslate.evaluation.figures.base import Evaluated, Figure
from uhrtranslate.evaluation.images import PARTNERS, Partner, find_partner, matching_view, opened
from uhrtranslate.evaluation.made import read_made
from uhrtranslate.evaluation.options import EvaluateOptions
from uhrtranslate.evaluation.patches import Populations, Seen, Setup
from uhrtranslate.evaluation.pixels import sums_of
from uhrtranslate.evaluation.result import Evaluation, Metrics
from uhrtranslate.evaluation.seams import evaluate_seams
from uhrtranslate.io import Slide, Source, narrowed, open_slide, shown, stated_by
from uhrtranslate.registration import Transform
from uhrtranslate.tables import FIGURES

# Side of the areas whose colours are compared if no grid is known: the usual cell.
CELL = 512
# Partners that are results of a translation themselves.
RESULTS = ("baseline", "retiled")
ONLY_SEAMS = "Channels are no colours: of them only seams are measured"


class Evaluator:
    """Measures images; networks and models are read once.

    Args:
        options: see `EvaluateOptions`.
        transform: shows the truth in the frame of what is evaluated.

    Attributes:
        seen: images that `together` is about; those that others have evaluated may be added.

    Raises:
        UhrError: weights or models cannot be read, or there are no real images.
    """

    def __init__(self, options: EvaluateOptions, transform: Transform | None = None) -> None:
        self.options = options
        self._transform = transform
        self._setup = Setup(options)
        self._figures: dict[str, Figure] = {
            name: one for name, figure in FIGURES.items() if (one := figure(self._setup)).wanted
        }
        self.seen: list[Seen] = []

    def evaluate(self, image: Source, root: Path | None = None) -> Evaluation:
        """Evaluate one image, except for figures of all images together.

        Args:
            image: its path or URL.
            root: the folder below which it was found; partners are looked for in the same place.

        Raises:
            UhrError: the image, or one of its partners, cannot be read.
        """
        began, o = time.perf_counter(), self.options
        places = {
            name: find_partner(getattr(o, name), image, root, results=name in RESULTS)
            for name in PARTNERS
        }
        made = read_made(image)
        with ExitStack() as stack:
            view = stack.enter_context(
                opened(image, o.level, o.mpp, o.region, stated_by(o), channels=True)
            )
            partners = {
                name: matching_view(self._opened(name, place, stack), view, made)
                for name, place in places.items()
                if place is not None
            }
            grid = o.grid if isinstance(o.grid, int) else None
            whole = (view.width, view.height) == (view.info.width, view.info.height)
            if o.grid == "auto" and whole:
                grid = made.spacing
            seams = evaluate_seams(view, partners.get("source"), grid, o.seed)
            period = grid or seams.period
            evaluated = Evaluated(view, partners, seams, period or CELL, made)
            has_channels = any(one.info.channels for one in (view, *partners.values()))
            figures = {
                name: figure
                for name, figure in self._figures.items()
                if partners.keys() >= set(figure.needs) and (figure.of_channels or not has_channels)
            }
            sums = sums_of(evaluated, figures)
            metrics = {
                name: figure.of_image(evaluated, sums.get(name, ()))
                for name, figure in figures.items()
            }
            if not has_channels:
                self.seen.append(Seen(image, places["source"], period))
            return Evaluation(
                input=shown(image),
                places=(image, places["source"]),
                source=text_of(places["source"]),
                truth=text_of(places["truth"]),
                reference=text_of(o.reference),
                width=view.width,
                height=view.height,
                mpp=view.mpp[0] if view.mpp else None,
                region=o.region,
                metrics={name: found for name, found in metrics.items() if found},
                borders=seams.borders,
                heat=seams.heat,
                warnings=(ONLY_SEAMS,) if has_channels else (),
                seconds=time.perf_counter() - began,
            )

    def _opened(self, name: Partner, place: Source, stack: ExitStack) -> Slide:
        slide = stack.enter_context(narrowed(open_slide(place, sparse=True, channels=True)))
        if name == "truth" and self._transform is not None:
            return WarpedSlide(slide, self._transform)
        return slide

    def together(self) -> tuple[Metrics, tuple[str, ...]]:
        """Figures of all evaluated images together, and warnings.

        Raises:
            UhrError: no patch can be cut; says why.
        """
        if not self.seen:
            return {}, ()
        images = Populations(self._setup, self.seen)
        metrics = {name: figure.of_all(images) for name, figure in self._figures.items()}
        return {name: found for name, found in metrics.items() if found}, (*self._setup.warnings,)


def text_of(place: Source | None) -> str | None:
    """A path or URL as a JSON value."""
    return None if place is None else shown(place)
