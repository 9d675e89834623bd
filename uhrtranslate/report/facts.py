"""The content of a page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Metrics = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class Picture:
    """An image, and the name of its candidate.

    Attributes:
        name: of a candidate, or `source`.
        pixels: RGB, [h, w, 3] uint8.
    """

    name: str
    pixels: Pixels


@dataclass(frozen=True, eq=False)
class Scene:
    """One place in several images, which the viewer shows side by side.

    Attributes:
        name: short, for a button.
        note: where it is, and why it was chosen.
        scale: px of the pictures per px of the images; 1 for true pixels.
        pictures: all of the same size, the source first.
    """

    name: str
    note: str
    scale: float
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, eq=False)
class BorderCrop:
    """True pixels around a border between two tiles.

    Attributes:
        axis: x for a vertical border in the crop's middle, y for a horizontal one.
        x, y: centre of the crop in px of the image.
        step: in grey levels, minus what is usual nearby.
        after: the translation, [h, w, 3] uint8.
        before: the same place in the source, of the same shape; None without a source.
    """

    axis: Literal["x", "y"]
    x: int
    y: int
    step: float
    after: Pixels
    before: Pixels | None = None


@dataclass(frozen=True, eq=False)
class Candidate:
    """One of the compared translations.

    Attributes:
        name: unique on a page.
        metrics: by group and name; numbers, strings, None.
        borders: the worst ones, worst first.
        heat: step in grey levels per block, [rows, columns] float32; NaN where none was measured.
        block: side of the heat's blocks in px.
        origin: x and y of the first block in px, 0 or less.
        backdrop: a small picture of the whole image, shown under the heat.
        size: width and height of the image in px; None if there is none.
        warnings: what to keep in mind, in sentences.
        error: why there is no result, in a sentence.
        yardstick: not a competitor, so never marked as the best.
    """

    name: str
    metrics: Metrics
    borders: tuple[BorderCrop, ...] = ()
    heat: NDArray[np.float32] | None = None
    block: int = 128
    origin: tuple[int, int] = (0, 0)
    backdrop: Pixels | None = None
    size: tuple[int, int] | None = None
    warnings: tuple[str, ...] = ()
    error: str | None = None
    yardstick: bool = False


@dataclass(frozen=True, eq=False)
class HeatMap:
    """A figure all over an image, drawn over a small picture of it.

    Attributes:
        title: what is drawn, and its unit.
        values: [rows, columns] float32; NaN where nothing is known.
        box: x, y, width and height of the values' area in px of the image.
        size: width and height of the image in px.
        backdrop: a small picture of the whole image, [h, w, 3] uint8.
        top: the end of the scale.
    """

    title: str
    values: NDArray[np.float32]
    box: tuple[float, float, float, float]
    size: tuple[int, int]
    backdrop: Pixels
    top: float


@dataclass(frozen=True, eq=False)
class Page:
    """Everything on a page.

    Attributes:
        title: heading.
        lead: a sentence or two below it.
        candidates: in the order of columns.
        scenes: for the viewer; pictures are named after the candidates.
        maps: figures all over an image.
        settings: of the translations, by name.
        files: names of files next to the page, to link to.
    """

    title: str
    lead: str
    candidates: tuple[Candidate, ...]
    scenes: tuple[Scene, ...] = ()
    maps: tuple[HeatMap, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
