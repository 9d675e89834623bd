"""Figures of patches: LPIPS, alignment, populations, no-reference quality, domains."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.errors import InputError
from uhrtranslate.evaluation.pixels import Figures, read8
from uhrtranslate.extractors import DomainClassifier, Extractor, Lpips
from uhrtranslate.io import SlideView
from uhrtranslate.metrics import (
    Box,
    NiqeModel,
    aligned_scores,
    estimate,
    frechet_distance,
    kernel_distance,
    niqe_features,
    niqe_score,
    patches_across_borders,
    precision_recall,
    random_patches,
    too_few,
)

Patches = NDArray[np.uint8]

# Side of the blocks that natural scene statistics are taken of, and how many at most: a mean over
# some thousand patches of 96 px does not change with more.
_QUALITY_BLOCK, _QUALITY_BLOCKS = 960, 64
# Pairs of patches that LPIPS and alignment look at.
_PAIRS = 64


@dataclass(frozen=True)
class Sampling:
    """How patches are drawn.

    Attributes:
        size: side of a patch in px.
        count: of each population.
        seeds: draws, of which means and confidence intervals are made.
        seed: of the first draw.
    """

    size: int
    count: int
    seeds: int
    seed: int


def cut(view: SlideView, boxes: Sequence[Box]) -> Patches:
    """Patches of equal size, [n, h, w, 3]."""
    return np.stack([read8(view, *box) for box in boxes])


def boxes_of(view: SlideView, period: int | None, sampling: Sampling, count: int, draw: int) -> Any:
    """Boxes across borders where there is a grid, else anywhere.

    Raises:
        InputError: the image is smaller than a patch.
    """
    seed = sampling.seed + draw
    found: list[Box] = []
    if period is not None:
        found = patches_across_borders(view.width, view.height, period, sampling.size, count, seed)
    found = found or random_patches(view.width, view.height, sampling.size, count, seed)
    if not found:
        raise InputError(
            f"{view.info.path}: is {view.width} x {view.height} px, smaller than a patch; choose a "
            f"--patch below {sampling.size}."
        )
    return found


def perceptual(lpips: Lpips, view: SlideView, other: SlideView, sampling: Sampling) -> float:
    """Mean LPIPS over patches of two views of one size."""
    return _mean_over_pairs(view, other, sampling, lambda a, b: lpips.distance(a, b))


def content(lpips: Lpips, view: SlideView, source: SlideView, sampling: Sampling) -> float:
    """Mean LPIPS-c over patches: of greys, against the (enhanced) input."""
    return _mean_over_pairs(view, source, sampling, lambda a, b: lpips.content_distance(a, b))


def aligned(view: SlideView, truth: SlideView, reach: int, sampling: Sampling) -> Figures:
    """Mean PSNR and SSIM of patches, each moved by up to `reach` px to where it fits best."""
    boxes = boxes_of(view, None, sampling, _PAIRS, 0)
    found = [aligned_scores(read8(view, *box), read8(truth, *box), reach) for box in boxes]
    psnr = [one.psnr for one in found if np.isfinite(one.psnr)]
    return {
        "shift": reach,
        "aligned_psnr": float(np.mean(psnr)) if psnr else None,
        "aligned_ssim": float(np.mean([one.ssim for one in found])),
        "median_shift": float(np.median([np.hypot(one.dx, one.dy) for one in found])),
    }


def quality(view: SlideView, model: NiqeModel, seed: int) -> Figures:
    """NIQE against a model of images that look as they should."""
    found = [niqe_features(pixels)[0] for pixels in quality_blocks(view, seed)]
    return {"niqe": niqe_score(np.concatenate(found), model), "niqe_model": model.digest}


def quality_blocks(view: SlideView, seed: int) -> Iterator[Patches]:
    """Blocks of a view that natural scene statistics are taken of: all, or a seeded choice."""
    boxes = [
        (x, y, min(_QUALITY_BLOCK, view.width - x), min(_QUALITY_BLOCK, view.height - y))
        for y in range(0, view.height, _QUALITY_BLOCK)
        for x in range(0, view.width, _QUALITY_BLOCK)
    ]
    random = np.random.default_rng(seed)
    chosen = sorted(random.permutation(len(boxes))[:_QUALITY_BLOCKS])
    for i in chosen:
        yield read8(view, *boxes[i])


def population(
    extractor: Extractor, real: Sequence[Patches], output: Sequence[Patches]
) -> tuple[Figures, str | None]:
    """FID, KID, precision and recall, each a mean over draws with its interval; and a warning.

    Args:
        extractor: of features.
        real, output: the patches of each draw.
    """
    draws = [
        (extractor.features(a), extractor.features(b)) for a, b in zip(real, output, strict=True)
    ]
    fid = estimate([frechet_distance(a, b) for a, b in draws])
    kid = estimate([kernel_distance(a, b, seed=i).mean for i, (a, b) in enumerate(draws)])
    both = [precision_recall(a, b) for a, b in draws]
    precision = estimate([one.precision for one in both])
    recall = estimate([one.recall for one in both])
    figures: Figures = {"extractor": extractor.name, "real": len(real[0]), "output": len(output[0])}
    for name, value in (("fid", fid), ("kid", kid), ("precision", precision), ("recall", recall)):
        figures[name] = value.mean
        figures[f"{name}_low"], figures[f"{name}_high"] = value.low, value.high
    return figures, too_few(len(real[0]), len(output[0]), extractor.size)


def domains(
    source: Patches,
    real: Patches,
    output: Patches,
    images: tuple[Sequence[int], Sequence[int]],
    seed: int,
) -> Figures:
    """What a classifier of source and target says of translated patches."""
    classifier = DomainClassifier(source, real, seed, *images)
    found = classifier.judge(output)
    return {
        "classifier": found.name,
        "accuracy": found.accuracy,
        "taken_for_target": found.taken_for_target,
        "confidence": found.confidence,
    }


def _mean_over_pairs(view: SlideView, other: SlideView, sampling: Sampling, distance: Any) -> float:
    boxes = boxes_of(view, None, sampling, _PAIRS, 0)
    found: list[float] = []
    for first in range(0, len(boxes), 8):
        some = boxes[first : first + 8]
        found += distance(cut(view, some), cut(other, some))
    return float(np.mean(found))


def read_text(path: Path) -> str:
    """A small text file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error
