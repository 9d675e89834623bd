"""The reference whose stain colours slides get."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from uhrtranslate.errors import InputError, OptionError
from uhrtranslate.io import (
    Found,
    Missing,
    Pixels,
    find_sources,
    open_slide,
    open_view,
    shown,
    slide_thumbnail,
    stated_by,
)
from uhrtranslate.io.files.disk import write_text
from uhrtranslate.io.files.inputs import is_saved, read_saved
from uhrtranslate.options import StainOptions
from uhrtranslate.recipes.sampling import sample_tissue
from uhrtranslate.stain import Fit, StainMethod, dump_fit, load_fit, pooled
from uhrtranslate.stain.base import Colours
from uhrtranslate.tables import RESULT_SUFFIXES, STAIN_METHODS

# Side in px of pictures of slides.
SIDE = 384


@dataclass(frozen=True)
class Reference:
    """A reference for stain normalization.

    Attributes:
        fit: of its colours.
        colours: of its tissue, [n, 3] uint8; None for a saved fit.
        name: as shown to the user.
        picture: a thumbnail of its first image; None for a saved fit.
    """

    fit: Fit
    colours: Colours | None = field(repr=False)
    name: str
    picture: Pixels | None = field(default=None, repr=False)


def find_reference(
    target: str, inputs: Sequence[Found | Missing], options: StainOptions
) -> Reference:
    """The reference that a user means.

    Args:
        target: an image or its URL, a folder of images (pooled), a saved fit (`.json`), or `auto`
            for the input that is nearest to all others.
        inputs: for `auto`.
        options: method, samples, seed.

    Raises:
        InputError: the reference is missing, has too little tissue, or is no saved fit of the
            method.
        OptionError: `auto` without inputs.
    """
    method = method_of(options)
    if is_saved(target):
        fit = read_saved(target, partial(load_fit, method=method), "--save-fit")
        return Reference(fit, None, target)
    if target == "auto":
        return _median(inputs, method, options)
    paths = find_sources(target, RESULT_SUFFIXES)
    samples = [sample_file(path, options, is_input=False) for path in paths]
    colours = pooled([sample for sample in samples if len(sample)] or [np.empty((0, 3), np.uint8)])
    try:
        return Reference(method.fit(colours), colours, shown(target), _picture(paths[0]))
    except InputError as error:
        raise InputError(f"{shown(target)}: {error}; choose another reference.") from error


def save_fit(path: Path, options: StainOptions, fit: Fit) -> None:
    """Write a fit as JSON.

    Raises:
        OutputError: it cannot be written.
    """
    write_text(path, json.dumps(dump_fit(method_of(options), fit), indent=1) + "\n")


def method_of(options: StainOptions) -> StainMethod[Any]:
    """An instance of the method that the options name."""
    method: StainMethod[Any] = STAIN_METHODS[options.method]()
    return method


def sample_file(path: Path | str, options: StainOptions, is_input: bool = True) -> Colours:
    """Colours of an image's tissue; see `sample_tissue`.

    Args:
        path: of the image.
        options: how they are drawn.
        is_input: what is stated of the inputs is true of it; else only if it says nothing itself.

    Raises:
        InputError: it cannot be read.
    """
    stated = stated_by(options, if_unknown=not is_input)
    with open_slide(path, sparse=options.allow_sparse, stated=stated) as slide:
        view = open_view(slide, options.level, options.mpp)
        return sample_tissue(view, options.samples, options.seed)


def _median(
    inputs: Sequence[Found | Missing], method: StainMethod[Any], options: StainOptions
) -> Reference:
    """The input whose colours are nearest to all the others'; unreadable ones are left out."""
    fits: list[tuple[Found, Fit, Colours]] = []
    for item in inputs:
        if isinstance(item, Found):
            try:
                colours = sample_file(item.source, options)
                fits.append((item, method.fit(colours), colours))
            except InputError:
                continue
    if not fits:
        raise OptionError("--target auto: none of the inputs has enough tissue.")
    far = [sum(fit.distance(other) for _, other, _ in fits) for _, fit, _ in fits]
    nearest, fit, colours = fits[int(np.argmin(far))]
    return Reference(fit, colours, nearest.name, _picture(nearest.source))


def _picture(path: Path | str) -> Pixels:
    with open_slide(path, sparse=True) as slide:
        return slide_thumbnail(slide, SIDE)
