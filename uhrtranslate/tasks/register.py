"""Find how one slide lies on another."""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from uhrtranslate.errors import OptionError, OutputError
from uhrtranslate.io import Source, open_slide, shown
from uhrtranslate.io.files.disk import write_text
from uhrtranslate.io.slide import SlideInfo
from uhrtranslate.options import RegistrationEngine
from uhrtranslate.recipes.coarse_place import coarse_place, evidence_of, frame_of
from uhrtranslate.recipes.elastic import ROUNDS, refine, sides_of_rounds
from uhrtranslate.recipes.pictures_of_pairs import SlidePair
from uhrtranslate.recipes.registration_page import registration_page
from uhrtranslate.recipes.transform_file import read_landmarks, read_pairs, write_transform
from uhrtranslate.registration import Matrix, Transform, align_points
from uhrtranslate.registration.bspline import simpleitk
from uhrtranslate.registration.elastix import require_elastix
from uhrtranslate.registration.engines import ENGINES
from uhrtranslate.registration.quality import Fit, folds, judge, landmark_errors, measure_fit
from uhrtranslate.runs.events import Stage

# What says in a sentence that an engine is not installed.
NEEDED: dict[str, Callable[[], object]] = {"simpleitk": simpleitk, "elastix": require_elastix}
OnStage = Callable[[Stage], None]
# Stages beside the rounds of the non-rigid step, in words.
COARSE, JUDGING, PAGE = "coarse step", "judging", "page"


@dataclass(frozen=True)
class RegisterOptions:
    """How slides are registered.

    Attributes:
        engine: of the non-rigid step, see `registration.engines`; `none` for the coarse step
            alone; `auto` is `convex`.
        mirror: also try the moving section turned over.
        rounds: of the non-rigid step, each twice as fine; see `refine`.
        seed: of the coarse step's draws.
        points: file of at least four pairs of points, instead of the search; see `read_pairs`.
        landmarks: files of landmarks of the moving and the fixed slide, to measure the result by.
        report: page for people to write about the result, also if it failed.
        overwrite: replace an existing transform, and page.
    """

    engine: RegistrationEngine = "auto"
    mirror: bool = False
    rounds: int = 3
    seed: int = 0
    points: Path | None = None
    landmarks: tuple[Path, Path] | None = None
    report: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Registration:
    """What came out; the line of `uhrt register --json`.

    Attributes:
        moving, fixed: paths of the slides.
        output: the transform's path; None if it failed, and nothing was written.
        verdict: `good`, `doubtful` or `failed`.
        reasons: for a verdict that is not good, in words.
        engine: of the non-rigid step.
        quality: what was measured.
        seconds: that it took.
    """

    moving: str
    fixed: str
    output: str | None
    verdict: str
    reasons: list[str]
    engine: str
    quality: dict[str, Any]
    seconds: float


def register(
    moving: Source,
    fixed: Source,
    output: Path,
    options: RegisterOptions | None = None,
    on_stage: OnStage = lambda stage: None,
) -> Registration:
    """Register the moving slide to the fixed one, measure the result, and write the transform.

    A registration that failed is a result; it writes nothing. `on_stage` is called with the stage
    at work.

    Raises:
        InputError: a slide or a file of points cannot be read.
        OptionError, MissingExtraError: the engine cannot be used.
        OutputError: the transform exists already or cannot be written.
    """
    options = options or RegisterOptions()
    began = time.perf_counter()
    for path in filter(None, (output, options.report)):
        if path.exists() and not options.overwrite:
            raise OutputError(f"{path}: exists already; use --overwrite or choose another name.")
    if not 1 <= options.rounds <= len(ROUNDS):
        raise OptionError(f"rounds must be 1 to {len(ROUNDS)}, not {options.rounds}.")
    engine = "convex" if options.engine == "auto" else options.engine
    if engine in NEEDED:
        NEEDED[engine]()  # before anything is computed
    landmarks = read_landmarks(*options.landmarks) if options.landmarks else None
    with open_slide(moving) as one, open_slide(fixed) as other:
        pair = SlidePair(one, other)
        stages = _Stages(shown(moving), engine, options, other.info, on_stage)
        stages.begin(COARSE)
        coarse = _coarse(pair, options)
        if coarse is None:
            verdict, reasons = "failed", ["there is no tissue to lay on each other"]
            quality: dict[str, Any] = {}
        else:
            found = coarse
            if engine != "none":
                found = refine(one, other, coarse, ENGINES[engine], options.rounds, stages.within)
            stages.begin(JUDGING)
            found, quality = judged(pair, found, coarse, options.seed, landmarks)
            verdict, reasons = quality["verdict"], quality["reasons"]
            found = dataclasses.replace(found, how={"engine": engine, **coarse.how})
            if options.report is not None:
                stages.begin(PAGE)
                before = lying(one.info, other.info)
                text = registration_page(pair, before, found, quality)
                write_text(options.report, text)
    if coarse is not None and verdict != "failed":
        write_transform(output, found, options.overwrite)
    return Registration(
        moving=shown(moving),
        fixed=shown(fixed),
        output=None if verdict == "failed" else str(output),
        verdict=verdict,
        reasons=reasons,
        engine=engine,
        quality=quality,
        seconds=round(time.perf_counter() - began, 2),
    )


class _Stages:
    """Tells in which of its stages a registration is."""

    def __init__(
        self, name: str, engine: str, options: RegisterOptions, fixed: SlideInfo, on_stage: OnStage
    ) -> None:
        sides = sides_of_rounds(fixed.width, fixed.height, options.rounds)
        self._rounds = [f"non-rigid step at {side:,} px" for side in sides]
        rounds = [] if engine == "none" else self._rounds
        self._names = [COARSE, *rounds, JUDGING, *([PAGE] if options.report else [])]
        self._name, self._on_stage = name, on_stage

    def begin(self, stage: str, done: float = 0.0) -> None:
        number = self._names.index(stage) + 1
        self._on_stage(Stage(self._name, stage, number, len(self._names), done))

    def within(self, number: int, done: float) -> None:
        """A share of one of the rounds of the non-rigid step is done."""
        self.begin(self._rounds[number], done)


def judged(
    pair: SlidePair,
    found: Transform,
    coarse: Transform,
    seed: int = 0,
    landmarks: Any = None,
) -> tuple[Transform, dict[str, Any]]:
    """A transform with what was measured of it, and these figures, as JSON values.

    It is the coarse one if fewer windows fit by the one that was found from it.
    """
    before = lying(pair.moving.info, pair.fixed.info)
    stages = {"before": before, "coarse": coarse, "after": found}
    pictures = {name: pair.pictures(one) for name, one in stages.items()}
    fits: dict[str, Fit] = {
        name: measure_fit(*seen.looks, seen.tissue & seen.inside)[0]
        for name, seen in pictures.items()
    }
    covered = pictures["after"].covered
    if fits["after"].confirmed < fits["coarse"].confirmed:
        found, fits["after"] = coarse, fits["coarse"]
    evidence = evidence_of(pair, coarse, pictures["coarse"], seed)
    errors = landmark_errors(found, *landmarks) if landmarks else None
    folded = folds(found)
    verdict, reasons = judge(fits["after"], evidence, covered, folded, errors)
    quality: dict[str, Any] = {name: dataclasses.asdict(fit) for name, fit in fits.items()}
    quality |= {"evidence": dataclasses.asdict(evidence)}
    quality |= {"covered": round(covered, 4), "folds": round(folded, 5)}
    quality |= {"landmarks": errors} if errors else {}
    quality |= {"verdict": verdict, "reasons": reasons}
    return dataclasses.replace(found, quality=quality), quality


def lying(moving: SlideInfo, fixed: SlideInfo) -> Transform:
    """Both slides as they lie: corner on corner, at their mpp, or stretched if it is unknown."""
    frames = frame_of(moving), frame_of(fixed)
    scale = np.array([moving.width / fixed.width, moving.height / fixed.height])
    if moving.mpp is not None and fixed.mpp is not None:
        scale = np.array(fixed.mpp) / np.array(moving.mpp)
    return Transform(*frames, (Matrix(np.diag([*scale, 1.0])),))


def _coarse(pair: SlidePair, options: RegisterOptions) -> Transform | None:
    if options.points is None:
        return coarse_place(pair, options.mirror, options.seed)
    matrix = align_points(*read_pairs(options.points))
    frames = frame_of(pair.moving.info), frame_of(pair.fixed.info)
    return Transform(*frames, (Matrix(matrix),), how={"coarse": "points"})
