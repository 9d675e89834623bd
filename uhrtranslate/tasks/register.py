"""Find how one slide lies on another."""

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from uhrtranslate.errors import OptionError, OutputError
from uhrtranslate.io import Slide, Source, fitted_thumbnail, open_slide, open_view, shown
from uhrtranslate.io.files.disk import write_text
from uhrtranslate.io.slide import SlideInfo
from uhrtranslate.recipes.elastic import refine
from uhrtranslate.recipes.pictures_of_pairs import pair_pictures
from uhrtranslate.recipes.registration_page import registration_page
from uhrtranslate.recipes.transform_file import read_landmarks, read_pairs, write_transform
from uhrtranslate.registration import (
    CoarseOptions,
    Frame,
    Matrix,
    Transform,
    align_points,
    align_thumbnails,
)
from uhrtranslate.registration.bspline import has_simpleitk, simpleitk
from uhrtranslate.registration.quality import folds, judge, landmark_errors, measure_fit

Engine = Literal["auto", "simpleitk", "none"]
# Longest side in px of the thumbnails of the coarse step, and of those for the verdict.
SIDE = 1024


@dataclass(frozen=True)
class RegisterOptions:
    """How slides are registered.

    Attributes:
        engine: of the non-rigid step: `simpleitk`, `none` for the coarse step alone, or `auto`,
            SimpleITK if it is installed, else none.
        mirror: also try the moving section turned over.
        rounds: of the non-rigid step, each twice as fine; see `refine`.
        seed: of the coarse step's draws.
        points: file of at least four pairs of points, instead of the search; see `read_pairs`.
        landmarks: files of landmarks of the moving and the fixed slide, to measure the result by.
        report: page for people to write about the result, also if it failed.
        overwrite: replace an existing transform, and page.
    """

    engine: Engine = "auto"
    mirror: bool = False
    rounds: int = 2
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
    moving: Source, fixed: Source, output: Path, options: RegisterOptions | None = None
) -> Registration:
    """Register the moving slide to the fixed one, measure the result, and write the transform.

    A registration that failed is a result; it writes nothing.

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
    if not 1 <= options.rounds <= 3:
        raise OptionError(f"rounds must be 1 to 3, not {options.rounds}.")
    engine = _engine(options.engine)
    landmarks = read_landmarks(*options.landmarks) if options.landmarks else None
    with open_slide(moving) as one, open_slide(fixed) as other:
        coarse = _coarse(one, other, options)
        if coarse is None:
            verdict, reasons = "failed", ["there is no tissue to lay on each other"]
            quality: dict[str, Any] = {}
        else:
            found = coarse
            if engine == "simpleitk":
                found = _better(one, other, coarse, options.rounds)
            found, quality = judged(one, other, found, coarse, landmarks)
            verdict, reasons = quality["verdict"], quality["reasons"]
            found = dataclasses.replace(found, how={"engine": engine, **coarse.how})
            if options.report is not None:
                before = lying(one.info, other.info)
                text = registration_page(one, other, before, found, quality)
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


def judged(
    moving: Slide, fixed: Slide, found: Transform, coarse: Transform, landmarks: Any = None
) -> tuple[Transform, dict[str, Any]]:
    """A transform with what was measured of it, and these figures, as JSON values."""
    stages = {"before": lying(moving.info, fixed.info), "coarse": coarse, "after": found}
    quality: dict[str, Any] = {}
    for name, transform in stages.items():
        pictures = pair_pictures(moving, fixed, transform, SIDE)
        fit, _ = measure_fit(*pictures.looks, pictures.tissue & pictures.inside)
        quality[name] = dataclasses.asdict(fit)
    errors = landmark_errors(found, *landmarks) if landmarks else None
    folded = folds(found)
    verdict, reasons = judge(fit, pictures.covered, folded, errors)
    quality |= {"covered": round(pictures.covered, 4), "folds": round(folded, 5)}
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


def frame_of(info: SlideInfo) -> Frame:
    """The frame of a slide."""
    return Frame(Path(info.path).name, info.width, info.height, info.mpp)


def _engine(wanted: Engine) -> str:
    if wanted == "auto":
        return "simpleitk" if has_simpleitk() else "none"
    if wanted == "simpleitk":
        simpleitk()
    return wanted


def _coarse(moving: Slide, fixed: Slide, options: RegisterOptions) -> Transform | None:
    frames = frame_of(moving.info), frame_of(fixed.info)
    if options.points is not None:
        matrix = align_points(*read_pairs(options.points))
        return Transform(*frames, (Matrix(matrix),), how={"coarse": "points"})
    known = moving.info.mpp is not None and fixed.info.mpp is not None
    sides = [SIDE, SIDE]
    if known:  # the coarser picture decides, so that both have the same resolution
        sizes = [
            max(one.info.width, one.info.height) * max(one.info.mpp or (1,))
            for one in (moving, fixed)
        ]
        sides = [max(round(SIDE * size / max(sizes)), 64) for size in sizes]
    pictures = [
        fitted_thumbnail(open_view(one), side)
        for one, side in zip((moving, fixed), sides, strict=True)
    ]
    choices = CoarseOptions(mirror=options.mirror, same_scale=known, seed=options.seed)
    found = align_thumbnails(pictures[0], pictures[1], choices)
    if found is None:
        return None
    scales = [
        np.diag([one.info.width / picture.shape[1], one.info.height / picture.shape[0], 1.0])
        for one, picture in zip((moving, fixed), pictures, strict=True)
    ]
    matrix = scales[0] @ found.matrix @ np.linalg.inv(scales[1])
    how = {
        "coarse": found.by,
        "correlation": round(found.correlation, 4),
        "matches": found.matches,
        "inliers": found.inliers,
    }
    matrix[2] = 0, 0, 1
    return Transform(*frames, (Matrix(matrix),), how=how)


def _better(moving: Slide, fixed: Slide, coarse: Transform, rounds: int) -> Transform:
    """The non-rigid step's result, or the coarse one if fewer windows fit than before."""
    found = refine(moving, fixed, coarse, rounds)
    fits = []
    for transform in (coarse, found):
        pictures = pair_pictures(moving, fixed, transform, SIDE)
        fits.append(measure_fit(*pictures.looks, pictures.tissue & pictures.inside)[0])
    return found if fits[1].confirmed >= fits[0].confirmed else coarse
