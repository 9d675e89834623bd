"""What stain normalization found on each slide of a run: `uhrt stain-normalize --qc`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from uhrtranslate.io import SlideView, fitted_thumbnail
from uhrtranslate.io.files.disk import csv_text, write_png, write_text
from uhrtranslate.recipes.stain_picture import SIDE, Panel, picture_name, stain_picture
from uhrtranslate.recipes.stain_reference import Reference
from uhrtranslate.stain import Fit
from uhrtranslate.stain.base import Colours


class StainTable:
    """Pictures of a run's slides, and a table with those farthest from the reference first.

    A picture is a PNG that shows the slide before and after, the reference, and scatters of optical
    density of all three; see `stain_picture`.
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
        reasons: Sequence[str] = (),
    ) -> None:
        """Write a slide's picture, and the table with it.

        Args:
            view: the slide.
            fit: of its colours; its stains are drawn.
            reference: what it is brought to.
            colours: of its tissue, [n, 3] uint8.
            mapping: of its colours.
            reasons: why the fit is implausible.

        Raises:
            OutputError: they cannot be written.
        """
        facts = {key: round(value, 5) for key, value in fit.facts().items()}
        distance = round(fit.distance(reference.fit), 4)
        name = picture_name(Path(view.info.path), [row["picture"] for row in self._rows])
        row = {"slide": view.info.path, "distance": distance, **facts}
        self._rows.append({**row, "doubts": "; ".join(reasons), "picture": name})
        write_rows(self._folder, self._rows)
        before = fitted_thumbnail(view, SIDE)
        after = mapping(before.reshape(-1, 3)).reshape(before.shape)
        panels = [Panel("before", before), Panel("after", after)]
        if reference.picture is not None:
            panels.append(Panel("the reference", reference.picture))
        panels.append(Panel("colours of the tissue before", colours=colours, fit=fit))
        panels.append(Panel("colours of the tissue after", colours=mapping(colours)))
        if reference.colours is not None:
            panels.append(
                Panel("colours of the reference", colours=reference.colours, fit=reference.fit)
            )
        title = (
            f"{Path(view.info.path).name}, to {Path(reference.name).name}: distance {distance:.1f}"
        )
        write_png(self._folder / name, stain_picture(title, reasons, panels))


def write_rows(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `stains.csv` into a folder, rows of the largest `distance` first.

    It has the columns of all rows; what a row lacks stays empty.

    Raises:
        OutputError: it cannot be written.
    """
    columns = list({name: None for row in rows for name in row})
    ranked = sorted(rows, key=lambda row: -float(row["distance"]))
    write_text(folder / "stains.csv", csv_text(columns, ranked))
