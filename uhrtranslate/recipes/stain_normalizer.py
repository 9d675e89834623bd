"""Stain normalization of slides to one reference."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from uhrtranslate.engine import ColourTable
from uhrtranslate.errors import InputError
from uhrtranslate.io import Pixels, SlideView
from uhrtranslate.options import StainOptions
from uhrtranslate.recipes.colour import ColourRecipe
from uhrtranslate.recipes.recipe import Skipped
from uhrtranslate.recipes.sampling import sample_tissue
from uhrtranslate.recipes.stain_reference import Reference, method_of
from uhrtranslate.recipes.stain_table import StainTable
from uhrtranslate.stain import Fit, colour_map


class StainNormalizer(ColourRecipe):
    """Brings slides to the colours of a reference; a `Recipe`.

    Args:
        options: method, samples, seed and so on.
        reference: whose colours the slides get.
        qc: folder for a picture of each slide and a table of all.
    """

    options: StainOptions

    def __init__(self, options: StainOptions, reference: Reference, qc: Path | None = None) -> None:
        self.options = options
        self.suffix = options.method
        self._reference = reference
        self._table = StainTable(qc) if qc else None

    def mapping(self, view: SlideView) -> Callable[[Pixels], Pixels]:
        """See `ColourRecipe`; the view's tissue is sampled and fitted."""
        method = method_of(self.options)
        colours = sample_tissue(view, self.options.samples, self.options.seed)
        try:
            fit = method.fit(colours)
        except InputError as error:
            if self.options.little_tissue == "skip":
                raise Skipped(f"{view.info.path}: {error}; skipped.") from error
            return lambda pixels: pixels
        mapping = colour_map(method, fit, self._reference.fit)
        if self._table:
            self._table.add(view, fit, self._reference, colours, mapping)
        if self.options.fit == "tile":
            return lambda pixels: self._by_tile(pixels, fit)
        return ColourTable(mapping)

    def _by_tile(self, pixels: Pixels, fallback: Fit) -> Pixels:
        """Fit each tile by itself, as is often done; leaves seams."""
        method = method_of(self.options)
        colours = pixels.reshape(-1, 3)
        try:
            fit = method.fit(colours)
        except InputError:
            fit = fallback
        return colour_map(method, fit, self._reference.fit)(colours).reshape(pixels.shape)

    def provenance(self) -> dict[str, Any]:
        """See `ImagePlan`."""
        fit = json.dumps(self._reference.fit.model_dump(mode="json"))
        return {
            "method": self.options.method,
            "fit": self.options.fit,
            "reference": Path(self._reference.name).name,
            "reference_sha256": hashlib.sha256(fit.encode()).hexdigest(),
        }

    def note(self, view: SlideView) -> str:
        """See `ImagePlan`."""
        return f"{self.options.method} to {self._reference.name}"
