"""Stain normalization of slides to one reference."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from uhrtranslate.engine import ColourTable
from uhrtranslate.errors import InputError, OptionError
from uhrtranslate.io import Pixels, SlideView
from uhrtranslate.options import StainOptions
from uhrtranslate.recipes.colour import ColourRecipe
from uhrtranslate.recipes.recipe import Skipped
from uhrtranslate.recipes.sampling import sample_tissue
from uhrtranslate.recipes.stain_reference import Reference, method_of
from uhrtranslate.recipes.stain_table import StainTable
from uhrtranslate.stain import Fit, colour_map
from uhrtranslate.stain.base import Colours
from uhrtranslate.stain.plausible import doubts
from uhrtranslate.stain.reinhard import Reinhard


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

    def mapping(self, view: SlideView, warnings: dict[str, str]) -> Callable[[Pixels], Pixels]:
        """See `ColourRecipe`; the view's tissue is sampled and fitted."""
        path, method = view.info.path, method_of(self.options)
        colours = sample_tissue(view, self.options.samples, self.options.seed)
        try:
            fit = method.fit(colours)
        except InputError as error:
            if "skip" in (self.options.little_tissue, self.options.on_bad_fit):
                raise Skipped(f"{path}: {error}; skipped.") from error
            warnings["fit"] = f"{path}: {error}; copied as it is."
            return lambda pixels: pixels
        mapping = colour_map(method, fit, self._reference.fit)
        reasons = doubts(fit, colours, mapping)
        if self._table:
            self._table.add(view, fit, self._reference, colours, mapping, reasons)
        if reasons:
            doubted = f"{path}: its {method.name} fit is implausible ({'; '.join(reasons)})"
            if self.options.on_bad_fit == "skip":
                raise Skipped(f"{doubted}; skipped.")
            warnings["fit"] = f"{doubted}; {self._what_is_done}."
            if self.options.on_bad_fit == "copy":
                return lambda pixels: pixels
            if self.options.on_bad_fit == "fallback":
                return ColourTable(self._shift(colours))
        if self.options.fit == "tile":
            return lambda pixels: self._by_tile(pixels, fit)
        return ColourTable(mapping)

    @property
    def _what_is_done(self) -> str:
        """With a slide whose fit is implausible."""
        return {
            "copy": "copied as it is",
            "fallback": "only its mean colour is moved to the reference's",
        }.get(
            self.options.on_bad_fit,
            "look at the result, or leave the slide out (--on-bad-fit skip|copy|fallback)",
        )

    def _shift(self, colours: Colours) -> Callable[[Colours], Colours]:
        """Reinhard's method without stretching: nothing gets more contrast, or more noise.

        Raises:
            OptionError: the reference is a saved fit, whose mean colour is not known.
        """
        if self._reference.colours is None:
            raise OptionError(
                "--on-bad-fit fallback: needs the reference's image; a saved fit does not do."
            )
        method = Reinhard()
        source, target = method.fit(colours), method.fit(self._reference.colours)
        return colour_map(method, source, target.model_copy(update={"std": source.std}))

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
