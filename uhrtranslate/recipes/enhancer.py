"""Give dark-field images the grey look of bright-field ones, by inverse histogram matching."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from uhrtranslate.enhance import (
    Matching,
    Tally,
    background_gain,
    dump_tally,
    limited,
    load_tally,
    match,
    no_dark_field,
)
from uhrtranslate.errors import InputError
from uhrtranslate.io import (
    Found,
    Missing,
    Pixels,
    SlideView,
    find_sources,
    open_slide,
    open_view,
    stated_by,
)
from uhrtranslate.io.files.disk import write_text
from uhrtranslate.io.files.inputs import is_saved, read_saved
from uhrtranslate.options import EnhanceOptions
from uhrtranslate.recipes.colour import ColourRecipe
from uhrtranslate.tables import ENHANCED, RESULT_SUFFIXES, SYNTHESIZED

# Options that a result's description records.
OF_THE_LOOK = {"colour", "clip", "synthesize", "bits"}
# Growth of the background's noise that is warned of.
NOISY = 2.0


def find_tally(names: Sequence[str], options: EnhanceOptions) -> Tally:
    """The pooled histogram of a reference: images, folders, or saved histograms.

    Raises:
        InputError: one of them is missing or damaged.
    """
    total = Tally.nothing()
    for name in names:
        if is_saved(name):
            total += read_saved(name, load_tally, "--save-reference")
            continue
        for path in find_sources(name, RESULT_SUFFIXES):
            total += _tally_file(path, options, is_input=False)
    return total


def pool_tally(inputs: Sequence[Found | Missing], options: EnhanceOptions) -> Tally:
    """The pooled histogram of all inputs; unreadable ones are left out."""
    total = Tally.nothing()
    for item in inputs:
        if isinstance(item, Found):
            try:
                total += _tally_file(item.source, options)
            except InputError:
                continue
    return total


def save_tally(path: Path, tally: Tally) -> None:
    """Write a histogram as JSON.

    Raises:
        OutputError: it cannot be written.
    """
    write_text(path, json.dumps(dump_tally(tally)) + "\n")


class Enhancer(ColourRecipe):
    """Enhances dark-field images; a `Recipe`.

    Args:
        options: how to enhance.
        reference: the histogram that results get.
        pooled: the histogram of all inputs; None if each image has its own.
    """

    options: EnhanceOptions
    bits_in = 16

    def __init__(
        self, options: EnhanceOptions, reference: Tally, pooled: Tally | None = None
    ) -> None:
        self.options = options
        self.suffix = SYNTHESIZED if options.synthesize else ENHANCED
        self.bits_out = options.bits
        self._reference = reference
        self._pooled = pooled

    def mapping(self, view: SlideView, warnings: dict[str, str]) -> Callable[[Pixels], Pixels]:
        """See `ColourRecipe`; the whole view is read once for its histogram."""
        tally = self._pooled or Tally.of_image(view)
        tally = tally.clipped(self.options.clip)
        table = match(tally, self._reference, self.options.invert)
        top = 2**self.bits_out - 1
        table *= top / (self._reference.levels - 1)
        if self.options.gain is not None:
            table = limited(table, self.options.gain, top)
        if self.options.invert and not self.options.synthesize:
            warnings.update(self._doubts(view, tally, background_gain(tally, table, top)))
        # A pooled histogram may have more bits than this image.
        table = table[:: (tally.levels - 1) // (2**view.info.bits - 1)]
        return Matching(table, top, self.options.colour).apply

    def _doubts(self, view: SlideView, tally: Tally, gain: float) -> dict[str, str]:
        """What may be wrong with a dark-field image's result; see `ImagePlan`."""
        path = view.info.path
        kind = no_dark_field(tally)
        if kind is not None:
            return {
                "dark-field": f"{path}: is no dark-field image ({kind}), so its inverse is not a "
                "bright-field look; match it without inverting (--no-invert), or make a dark-field "
                "image of it (--synthesize with a dark-field reference)."
            }
        if gain > NOISY:
            return {
                "noise": f"{path}: the noise of its background grows {gain:.1f}-fold, as the "
                "reference has less bare glass; choose one with more, or limit it with --gain 1."
            }
        return {}

    def provenance(self) -> dict[str, Any]:
        """See `ImagePlan`."""
        return {
            "enhancement": "inverse histogram matching" if self.options.invert else "matching",
            "reference_sha256": _digest(self._reference),
            "pooled": self._pooled is not None,
            **self.options.model_dump(mode="json", include=OF_THE_LOOK),
            **({} if self.options.gain is None else {"gain": self.options.gain}),
        }

    def beside(self) -> dict[str, Any]:
        """See `ImagePlan`."""
        return {"pool": self._pooled and _digest(self._pooled)}

    def note(self, view: SlideView) -> str:
        """See `ImagePlan`."""
        kind = "inverse matching" if self.options.invert else "plain matching"
        look = "colour" if self.options.colour else "grey"
        return f"{kind}, {look}, {view.info.bits} bits to {self.bits_out}"


def _tally_file(path: Path | str, options: EnhanceOptions, is_input: bool = True) -> Tally:
    stated = stated_by(options, if_unknown=not is_input)
    with open_slide(path, deep=True, sparse=options.allow_sparse, stated=stated) as slide:
        return Tally.of_image(open_view(slide, options.level, options.mpp))


def _digest(tally: Tally) -> str:
    return hashlib.sha256(tally.counts.tobytes()).hexdigest()
