"""Figures of one image against others of its size: streamed, block by block."""

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.errors import InputError
from uhrtranslate.geometry import spans
from uhrtranslate.io import Slide, SlideView, open_view, resized, to_bits
from uhrtranslate.metrics import (
    MS_SSIM_HALO,
    CellFacts,
    GradientSums,
    Halo,
    MapSums,
    MultiScaleSums,
    PairSums,
    cell_facts,
    colour,
    compare_cells,
    gradient_sums,
    histogram,
    histogram_correlation,
    ms_ssim_sums,
    pair_sums,
    ssim_sums,
)

# Side of a block in px, a multiple of 16 as MS-SSIM asks for.
BLOCK = 1024
# Two images that are meant to show the same may differ so much in their aspect.
_ASPECT = 0.01

Figures = dict[str, Any]


def matching_view(slide: Slide, view: SlideView) -> SlideView:
    """The part of another image that shows what a view shows, at its size.

    Args:
        slide: the other image, in whatever resolution.
        view: of the image that is evaluated.

    Raises:
        InputError: the two images have different shapes.
    """
    other, info = slide.info, view.info
    across, down = other.width / info.width, other.height / info.height
    if abs(across / down - 1) > _ASPECT:
        raise InputError(
            f"{other.path}: is {other.width} x {other.height} px, which is another shape than the "
            f"{info.width} x {info.height} px of {info.path}; give images of the same area."
        )
    x, y, w, h = view.region
    left, top = int(x * across), int(y * down)
    region = (
        left,
        top,
        max(1, min(round(w * across), other.width - left)),
        max(1, min(round(h * down), other.height - top)),
    )
    found = open_view(slide, None, None, region)
    if (found.width, found.height) == (view.width, view.height):
        return found
    return resized(found, view.width, view.height)


def read8(view: SlideView, x: int, y: int, w: int, h: int) -> NDArray[np.uint8]:
    """Pixels of a view in 8 bits."""
    return to_bits(view.read(x, y, w, h), view.info.bits)


def structure(view: SlideView, source: SlideView) -> Figures:
    """SSIM, PCC and PSNR of grey against the source (DSTGAN), and the likeness of gradients."""

    def sums(
        a: NDArray[np.uint8], b: NDArray[np.uint8], halo: Halo
    ) -> tuple[PairSums, MapSums, GradientSums]:
        return pair_sums(a, b, halo), ssim_sums(a, b, halo), gradient_sums(a, b, halo)

    pairs, likeness, gradients = PairSums(), MapSums(), GradientSums()
    for pair, ssim, gradient in _over_blocks(source, view, sums):
        pairs, likeness, gradients = pairs + pair, likeness + ssim, gradients + gradient
    return {
        "ssim": likeness.mean,
        "pcc": pairs.pcc,
        "psnr": pairs.psnr,
        "gradient_similarity": gradients.similarity,
        "gradient_correlation": gradients.correlation,
    }


def paired(view: SlideView, truth: SlideView) -> Figures:
    """PSNR of colours, SSIM and MS-SSIM of grey, against the paired truth."""

    def sums(
        a: NDArray[np.uint8], b: NDArray[np.uint8], halo: Halo
    ) -> tuple[PairSums, MapSums, MultiScaleSums]:
        return pair_sums(a, b, halo, colour), ssim_sums(a, b, halo), ms_ssim_sums(a, b, halo)

    pairs, likeness, scales = PairSums(), MapSums(), MultiScaleSums()
    for pair, ssim, scale in _over_blocks(truth, view, sums):
        pairs, likeness, scales = pairs + pair, likeness + ssim, scales + scale
    return {"psnr": pairs.psnr, "ssim": likeness.mean, "ms_ssim": scales.ms_ssim}


def preservation(view: SlideView, other: SlideView, cell: int) -> Figures:
    """Local brightness, contrast and hue against a source or a baseline, and histograms.

    Args:
        view: of the image that is evaluated.
        other: of the same size.
        cell: side of the areas that are compared, in px.
    """
    facts: tuple[list[CellFacts], list[CellFacts]] = ([], [])
    counts = [np.zeros((3, 256), np.int64), np.zeros((3, 256), np.int64)]
    for x, y, w, h in _cells(view.width, view.height, cell):
        for i, one in enumerate((other, view)):
            pixels = read8(one, x, y, w, h)
            facts[i].append(cell_facts(pixels))
            counts[i] += histogram(pixels)
    found = dataclasses.asdict(compare_cells(*facts))
    return {"cell": cell, **found, "histogram_correlation": histogram_correlation(*counts)}


def _cells(width: int, height: int, cell: int) -> Iterator[tuple[int, int, int, int]]:
    """All cells, but for those cut to less than half by the image's end."""
    for top, bottom in spans(height, cell):
        if bottom - top < cell // 2 and top:
            continue
        for left, right in spans(width, cell):
            if right - left >= cell // 2 or not left:
                yield left, top, right - left, bottom - top


def _over_blocks(a: SlideView, b: SlideView, sums: Callable[..., Any]) -> Iterator[Any]:
    """`sums` of every pair of blocks with its halo; blocks are computed in threads, in order."""

    def of(block: tuple[int, int, int, int]) -> Any:
        left, top, right, bottom = block
        halo: Halo = (
            min(MS_SSIM_HALO, left),
            min(MS_SSIM_HALO, top),
            _within(MS_SSIM_HALO, a.width - right),
            _within(MS_SSIM_HALO, a.height - bottom),
        )
        x, y = left - halo[0], top - halo[1]
        box = x, y, right + halo[2] - x, bottom + halo[3] - y
        return sums(read8(a, *box), read8(b, *box), halo)

    blocks = [
        (left, top, right, bottom)
        for top, bottom in _block_spans(a.height)
        for left, right in _block_spans(a.width)
    ]
    with ThreadPoolExecutor(2) as pool:
        for first in range(0, len(blocks), 4):
            yield from pool.map(of, blocks[first : first + 4])


def _block_spans(length: int) -> list[tuple[int, int]]:
    """Blocks of which the last has room for the halo of the one before it."""
    found = list(spans(length, BLOCK))
    if len(found) > 1 and found[-1][1] - found[-1][0] < MS_SSIM_HALO:
        return [*found[:-2], (found[-2][0], length)]
    return found


def _within(halo: int, room: int) -> int:
    return halo if room >= halo else 0
