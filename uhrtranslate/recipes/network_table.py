"""What networks made of the slides of a run: `uhrt stain-normalize --qc` without a reference."""

from pathlib import Path
from typing import Any

import numpy as np

from uhrtranslate.io import fitted_thumbnail, open_slide, open_view
from uhrtranslate.io.files.disk import write_png
from uhrtranslate.options import StainOptions
from uhrtranslate.recipes.sampling import sample_tissue
from uhrtranslate.recipes.stain_picture import SIDE, Panel, picture_name, stain_picture
from uhrtranslate.recipes.stain_table import write_rows
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
        pictures: list[Panel] = []
        scatters: list[Panel] = []
        row: dict[str, Any] = {"slide": source, "distance": 0.0}
        for when, path in (("before", source), ("after", result)):
            with open_slide(path, sparse=options.allow_sparse) as slide:
                part = (options.level, options.mpp, options.region) if path == source else ()
                view = open_view(slide, *part)
                pictures.append(Panel(when, fitted_thumbnail(view, SIDE)))
                colours = sample_tissue(view, options.samples, options.seed)
            scatters.append(Panel(f"colours of the tissue {when}", colours=colours))
            if len(colours) >= LEAST:
                facts = Reinhard().fit(colours).facts()
                row |= {f"{when}_{name}": round(value, 3) for name, value in facts.items()}
        name = picture_name(Path(source), [row["picture"] for row in self._rows])
        title = f"{Path(source).name}, by a network"
        write_png(self._folder / name, stain_picture(title, (), [*pictures, *scatters]))
        row["picture"] = name
        self._rows.append(row)
        self._compare()
        write_rows(self._folder, self._rows)

    def _compare(self) -> None:
        """Find how far each result is from the median of all."""
        names = list(
            {name: None for row in self._rows for name in row if name.startswith("after_")}
        )
        made = [row for row in self._rows if all(name in row for name in names)]
        if names:
            values = np.array([[row[name] for name in names] for row in made])
            apart = np.sqrt(((values - np.median(values, axis=0)) ** 2).mean(axis=1))
            for row, distance in zip(made, apart, strict=True):
                row["distance"] = round(float(distance), 4)
