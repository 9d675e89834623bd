"""What stain normalization found on each slide of a run: `uhrt stain-normalize --qc`."""

import csv
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from uhrtranslate.io import SlideView, fitted_thumbnail
from uhrtranslate.io.files.disk import output_errors
from uhrtranslate.recipes.stain_reference import SIDE, Reference
from uhrtranslate.stain import Fit
from uhrtranslate.stain.base import Colours
from uhrtranslate.stain.density import to_density

# Optical density at the scatter's edge.
DENSEST = 2.0


class StainTable:
    """Pictures of a run's slides, and a table with those farthest from the reference first.

    A picture is a PNG that shows the slide before and after, the reference, and scatters of optical
    density of all three: the density of red runs across, that of blue up.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: list[dict[str, Any]] = []

    def add(
        self,
        view: SlideView,
        fit: Fit,
        reference: Reference,
        colours: Colours,
        mapping: Callable[[Colours], Colours],
    ) -> None:
        """Write a slide's picture, and the table with it.

        Args:
            view: the slide.
            fit: of its colours; its stains are drawn.
            reference: what it is brought to.
            colours: of its tissue, [n, 3] uint8.
            mapping: of its colours.

        Raises:
            OutputError: they cannot be written.
        """
        name = Path(view.info.path).name
        facts = {key: round(value, 5) for key, value in fit.facts().items()}
        distance = round(fit.distance(reference.fit), 4)
        self._rows.append({"slide": view.info.path, "distance": distance, **facts})
        path = self._folder / "stains.csv"
        with output_errors(path):
            self._folder.mkdir(parents=True, exist_ok=True)
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(self._rows[0]))
                writer.writeheader()
                writer.writerows(sorted(self._rows, key=lambda row: -float(row["distance"])))
            before = fitted_thumbnail(view, SIDE)
            after = mapping(before.reshape(-1, 3)).reshape(before.shape)
            parts = [framed(before), framed(after)]
            if reference.picture is not None:
                parts.append(framed(reference.picture[:SIDE, :SIDE]))
            parts += [scatter(colours, fit), scatter(mapping(colours), None)]
            if reference.colours is not None:
                parts.append(scatter(reference.colours, None))
            picture = Image.fromarray(np.concatenate(parts, axis=1))
            picture.save(self._folder / f"{name}.png")


def scatter(colours: Colours, fit: Fit | None) -> Colours:
    """Plot densities of red (right) and blue (up) with a fit's stains, [SIDE, SIDE, 3] uint8."""
    density = to_density(colours)[:, [0, 2]].clip(0, DENSEST - 1e-6)
    places = (density / DENSEST * SIDE).astype(int)
    count = np.zeros((SIDE, SIDE))
    np.add.at(count, (SIDE - 1 - places[:, 1], places[:, 0]), 1)
    shade = 255 - 255 * np.log1p(count) / max(float(np.log1p(count.max())), 1e-9)
    image = Image.fromarray(np.repeat(shade.astype(np.uint8)[..., None], 3, axis=2))
    if fit is not None:
        draw = ImageDraw.Draw(image)
        for stain, colour in zip(fit.stains, cycle(("blue", "deeppink"))):
            reach = SIDE / DENSEST * 1.5
            draw.line((0, SIDE, stain[0] * reach, SIDE - stain[2] * reach), fill=colour, width=2)
    return np.asarray(image)


def framed(pixels: Colours) -> Colours:
    """Pixels in the top left corner of a white square."""
    square = np.full((SIDE, SIDE, 3), 255, np.uint8)
    square[: pixels.shape[0], : pixels.shape[1]] = pixels
    return square
