"""Sums over all pixels of an image and its partners, streamed area by area."""

from collections.abc import Iterable, Mapping
from operator import iadd

from uhrtranslate.evaluation.figures.base import Area, Evaluated, Figure, Sums
from uhrtranslate.evaluation.images import PARTNERS, read8
from uhrtranslate.geometry import spans
from uhrtranslate.metrics.planes import NO_HALO, Halo
from uhrtranslate.metrics.structure import MS_SSIM_HALO
from uhrtranslate.threads import Workers, result_of

# Side of a block in px; MS-SSIM needs a multiple of 16.
BLOCK = 1024
# Areas that are computed at once. Cells may be much larger than blocks.
_THREADS = {"blocks": 2, "cells": 1}

# x, y, width and height of an area with its halo, and the halo.
_Place = tuple[tuple[int, int, int, int], Halo]


def sums_of(image: Evaluated, figures: Mapping[str, Figure]) -> dict[str, Sums]:
    """Sums of figures, by name, over an image; those that need no areas are left out.

    Blocks are read once for all figures, and so are cells.
    """
    size = image.view.width, image.view.height
    places = {"blocks": _blocks(*size), "cells": _cells(*size, image.cell)}
    totals: dict[str, Sums] = {}
    for kind, some in places.items():
        of_kind = {name: figure for name, figure in figures.items() if figure.areas == kind}
        if of_kind:
            totals |= _summed(image, some, of_kind, _THREADS[kind])
    return totals


def _summed(
    image: Evaluated, places: Iterable[_Place], figures: Mapping[str, Figure], threads: int
) -> dict[str, Sums]:
    """Areas are computed in threads and added in order, so that sums are always the same."""
    needed = {
        name
        for figure in figures.values()
        for name in (*figure.needs, *figure.wants)
        if name in image.partners
    }

    def of(place: _Place) -> dict[str, Sums]:
        box, halo = place
        partners = {name: read8(image.partners[name], *box) for name in PARTNERS if name in needed}
        corner = box[0] + halo[0], box[1] + halo[1]
        area = Area(read8(image.view, *box), partners, halo, image, corner)
        return {name: figure.sums(area) for name, figure in figures.items()}

    totals: dict[str, Sums] = {}
    waiting = list(places)
    with Workers(threads, "uhrt-evaluate") as pool:
        for first in range(0, len(waiting), 4):  # a few at a time: their results wait in memory
            for found in [pool.submit(of, place) for place in waiting[first : first + 4]]:
                for name, sums in result_of(found).items():
                    before = totals.get(name)
                    totals[name] = sums if before is None else tuple(map(iadd, before, sums))
    return totals


def _cells(width: int, height: int, cell: int) -> list[_Place]:
    """All cells except those that the image's end cuts to less than half."""
    return [
        ((left, top, right - left, bottom - top), NO_HALO)
        for top, bottom in spans(height, cell)
        if bottom - top >= cell // 2 or not top
        for left, right in spans(width, cell)
        if right - left >= cell // 2 or not left
    ]


def _blocks(width: int, height: int) -> list[_Place]:
    """Blocks with the largest halo that any figure needs."""
    found: list[_Place] = []
    for top, bottom in _block_spans(height):
        for left, right in _block_spans(width):
            halo: Halo = (
                min(MS_SSIM_HALO, left),
                min(MS_SSIM_HALO, top),
                MS_SSIM_HALO if width - right >= MS_SSIM_HALO else 0,
                MS_SSIM_HALO if height - bottom >= MS_SSIM_HALO else 0,
            )
            x, y = left - halo[0], top - halo[1]
            found.append(((x, y, right + halo[2] - x, bottom + halo[3] - y), halo))
    return found


def _block_spans(length: int) -> list[tuple[int, int]]:
    """Blocks, of which the last is large enough for the halo of the one before it."""
    found = list(spans(length, BLOCK))
    if len(found) > 1 and found[-1][1] - found[-1][0] < MS_SSIM_HALO:
        return [*found[:-2], (found[-2][0], length)]
    return found
