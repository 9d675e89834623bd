"""What stain normalization found on each slide of a run: `uhrt stain-normalize --qc`."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from uhrtranslate.io import SlideView
from uhrtranslate.io.files.disk import output_errors
from uhrtranslate.recipes.stain_pictures import write_picture
from uhrtranslate.recipes.stain_reference import Reference
from uhrtranslate.stain import Fit
from uhrtranslate.stain.base import Colours


class StainTable:
    """Pictures of a run's slides, and a table with those farthest from the reference first."""

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
            write_picture(self._folder / f"{name}.png", view, fit, reference, colours, mapping)
