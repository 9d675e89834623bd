"""What networks made of the slides of a run: `uhrt stain-normalize --qc` without a reference."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from uhrtranslate.io import fitted_thumbnail, open_slide, open_view
from uhrtranslate.io.files.disk import output_errors
from uhrtranslate.options import StainOptions
from uhrtranslate.recipes.sampling import sample_tissue
from uhrtranslate.recipes.stain_reference import SIDE
from uhrtranslate.recipes.stain_table import framed, scatter
from uhrtranslate.stain.base import Colours
from uhrtranslate.stain.reinhard import Reinhard

# Fewer pixels of tissue tell nothing of a slide's colours.
LEAST = 100


class NetworkTable:
    """Pictures of results, and a table with those on top whose colours differ from the others'.

    A network knows its target and does not tell, so results are compared with each other. A picture
    is a PNG that shows the slide before and after, and optical densities of both: that of red runs
    across, that of blue up. The table, `stains.csv`, has the mean and standard deviation of tissue
    in CIE Lab before and after; `distance` is that of the latter from the run's median.

    Args:
        folder: for all of it.
        options: of the run.
    """

    def __init__(self, folder: Path, options: StainOptions) -> None:
        self._folder, self._options = folder, options
        self._rows: list[dict[str, Any]] = []

    def add(self, source: str, result: Path) -> None:
        """Write a slide's picture, and the table with it.

        Args:
            source: path or URL of the slide.
            result: path of what was made of it.

        Raises:
            InputError: one of them can no longer be read.
            OutputError: the picture cannot be written.
        """
        options = self._options
        parts: list[Colours] = []
        scatters: list[Colours] = []
        row: dict[str, Any] = {"slide": source, "distance": 0.0}
        for when, path in (("before", source), ("after", result)):
            with open_slide(path, sparse=options.allow_sparse) as slide:
                part = (options.level, options.mpp, options.region) if path == source else ()
                view = open_view(slide, *part)
                parts.append(framed(fitted_thumbnail(view, SIDE)))
                colours = sample_tissue(view, options.samples, options.seed)
            scatters.append(scatter(colours, None))
            if len(colours) >= LEAST:
                facts = Reinhard().fit(colours).facts()
                row |= {f"{when}_{name}": round(value, 3) for name, value in facts.items()}
        with output_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(np.concatenate([*parts, *scatters], axis=1))
            picture.save(self._folder / f"{Path(source).name}.png")
        self._rows.append(row)
        self._write()

    def _write(self) -> None:
        columns = list({name: None for row in self._rows for name in row})
        names = [name for name in columns if name.startswith("after_")]
        made = [row for row in self._rows if all(name in row for name in names)]
        if names:
            values = np.array([[row[name] for name in names] for row in made])
            apart = np.sqrt(((values - np.median(values, axis=0)) ** 2).mean(axis=1))
            for row, distance in zip(made, apart, strict=True):
                row["distance"] = round(float(distance), 4)
        path = self._folder / "stains.csv"
        with output_errors(path), path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(sorted(self._rows, key=lambda row: -float(row["distance"])))
