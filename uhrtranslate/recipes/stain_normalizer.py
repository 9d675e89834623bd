"""Folders of slides brought to the colours of one reference."""

import csv
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save
from torch import Tensor

from uhrtranslate.engine import Clock, ColourTable, ColourTransform, Transform
from uhrtranslate.errors import CheckpointError, InputError, OptionError, OutputError
from uhrtranslate.geometry import TilePlan
from uhrtranslate.io import (
    Found,
    Missing,
    Pixels,
    SlideView,
    expand_inputs,
    open_slide,
    open_view,
    slide_thumbnail,
)
from uhrtranslate.io.files.disk import output_errors, write_text
from uhrtranslate.models.checkpoint import read_safetensors, read_tree
from uhrtranslate.options import StainOptions
from uhrtranslate.recipes.colour import ColourRecipe
from uhrtranslate.recipes.recipe import Skipped
from uhrtranslate.recipes.sampling import sample_tissue
from uhrtranslate.recipes.stain_pictures import SIDE, write_picture
from uhrtranslate.stain import Fit, StainMethod, colour_map, dump_fit, load_fit, pooled
from uhrtranslate.stain.base import Colours
from uhrtranslate.stain.stainnet import StainNet, distil, stainnet_from
from uhrtranslate.tables import STAIN_METHODS

FIT_ENDING = ".json"
Map = Callable[[Colours], Colours]


@dataclass(frozen=True)
class Reference:
    """What slides are brought to.

    Attributes:
        fit: of its colours.
        colours: of its tissue, [n, 3] uint8; None where only the fit was saved.
        name: for people.
        picture: a thumbnail of it, or of its first image; None where only the fit was saved.
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
        target: an image, a folder of images (pooled), a saved fit (`.json`), or `auto`: that one of
            the inputs which is nearest to all the others.
        inputs: for `auto`.
        options: method, samples, seed.

    Raises:
        InputError: it is missing, or has too little tissue.
        OptionError: `auto` without inputs.
    """
    method = _method(options)
    if target.endswith(FIT_ENDING):
        return Reference(read_fit(Path(target), method), None, target)
    if target == "auto":
        return _median(inputs, method, options)
    found = expand_inputs([target])
    samples = []
    for item in found:
        if isinstance(item, Missing):
            raise item.error
        samples.append(_sample(item.path, options))
    colours = pooled([sample for sample in samples if len(sample)] or [np.empty((0, 3), np.uint8)])
    try:
        return Reference(method.fit(colours), colours, target, _picture(found))
    except InputError as error:
        raise InputError(f"{target}: {error}; choose another reference.") from error


def read_fit(path: Path, method: StainMethod[Any]) -> Fit:
    """A saved fit.

    Raises:
        InputError: the file is none, or of another method.
    """
    try:
        return load_fit(json.loads(path.read_bytes()), method)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise InputError(f"{path}: is no JSON; make it again with --save-fit.") from error
    except InputError as error:
        raise InputError(f"{path}: {error}.") from error


def save_fit(path: Path, options: StainOptions, fit: Fit) -> None:
    """Write a fit as JSON.

    Raises:
        OutputError: it cannot be written.
    """
    write_text(path, json.dumps(dump_fit(_method(options), fit), indent=1) + "\n")


class StainNormalizer(ColourRecipe):
    """Brings slides to a reference; a `Recipe`.

    Args:
        options: how.
        reference: to what; None for StainNet, which knows its own.
        qc: folder for a picture of each slide and a table of all.

    Raises:
        CheckpointError: the StainNet's weights are none.
        OptionError: there is no reference, and one is needed.
    """

    def __init__(
        self, options: StainOptions, reference: Reference | None, qc: Path | None = None
    ) -> None:
        self.options = options
        self.suffix = options.method
        self._network = _load_stainnet(options.model) if options.model else None
        if self._network is None and reference is None:
            raise OptionError("--target: name a reference: an image, folder, saved fit, or auto.")
        self._reference = reference
        self._qc = _Table(qc) if qc and reference else None

    def transform(self, view: SlideView, plan: TilePlan, clock: Clock) -> Transform:
        """See `Recipe`."""
        if self._network is not None:
            return ColourTransform(plan, ColourTable(self._network.transform))
        reference = self._needed()
        method = _method(self.options)
        colours = sample_tissue(view, self.options.samples, self.options.seed)
        try:
            fit = method.fit(colours)
        except InputError as error:
            if self.options.little_tissue == "skip":
                raise Skipped(f"{view.info.path}: {error}; skipped.") from error
            return ColourTransform(plan, lambda pixels: pixels)
        mapping = colour_map(method, fit, reference.fit)
        if self._qc:
            self._qc.add(view, fit, reference, colours, mapping)
        if self.options.fit == "tile":
            return ColourTransform(plan, lambda pixels: self._by_tile(pixels, fit))
        return ColourTransform(plan, ColourTable(mapping))

    def _by_tile(self, pixels: Any, fallback: Fit) -> Any:
        """Each tile by its own fit, as is often done; seams show it."""
        method = _method(self.options)
        colours = pixels.reshape(-1, 3)
        try:
            fit = method.fit(colours)
        except InputError:
            fit = fallback
        return colour_map(method, fit, self._needed().fit)(colours).reshape(pixels.shape)

    def _needed(self) -> Reference:
        if self._reference is None:
            raise OptionError("--target: name a reference.")
        return self._reference

    def how(self) -> dict[str, Any]:
        """See `Recipe`."""
        if self._reference is None:
            return {"method": self.options.method, "model": self.options.model}
        fit = json.dumps(self._reference.fit.model_dump(mode="json"))
        return {
            "method": self.options.method,
            "fit": self.options.fit,
            "reference": Path(self._reference.name).name,
            "reference_sha256": hashlib.sha256(fit.encode()).hexdigest(),
        }

    def identity(self, plan: TilePlan) -> dict[str, Any]:
        """See `Recipe`."""
        own = {"method", "fit", "samples", "seed", "model", "little_tissue"}
        return self.how() | self.options.model_dump(mode="json", include=own)

    def facts(self, plan: TilePlan) -> dict[str, Any]:
        """See `Recipe`."""
        return {"model": self.options.method}

    def note(self, view: SlideView, plan: TilePlan) -> str:
        """See `Recipe`."""
        goal = self.options.model if self._reference is None else self._reference.name
        return f"{self.options.method} to {goal}"


def distil_normalizer(source: Path, reference: Reference, options: StainOptions) -> StainNet:
    """A StainNet that does to colours what a method does to those of a slide.

    Args:
        source: a slide like those that the network is for.
        reference: to what it is brought.
        options: method, samples, seed.

    Raises:
        InputError: the slide has too little tissue.
    """
    method = _method(options)
    colours = _sample(source, options)
    try:
        mapping = colour_map(method, method.fit(colours), reference.fit)
    except InputError as error:
        raise InputError(f"{source}: {error}; choose another slide.") from error
    # Glass, and colours between, so that the network keeps white white.
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    white = np.repeat(grey[200:], 1 + len(colours) // 400, axis=0)
    every = np.concatenate([colours, grey, white])
    return distil(every, mapping(every), options.seed)


def _method(options: StainOptions) -> StainMethod[Any]:
    method: StainMethod[Any] = STAIN_METHODS[options.method]()
    return method


def _sample(path: Path, options: StainOptions) -> Colours:
    with open_slide(path, sparse=options.allow_sparse) as slide:
        view = open_view(slide, options.level, options.mpp)
        return sample_tissue(view, options.samples, options.seed)


def _median(
    inputs: Sequence[Found | Missing], method: StainMethod[Any], options: StainOptions
) -> Reference:
    """The input whose colours are nearest to all the others'; unreadable ones are left out."""
    fits: list[tuple[Path, Fit, Colours]] = []
    for item in inputs:
        if isinstance(item, Found):
            try:
                colours = _sample(item.path, options)
                fits.append((item.path, method.fit(colours), colours))
            except InputError:
                continue
    if not fits:
        raise OptionError("--target auto: none of the inputs has enough tissue.")
    far = [sum(fit.distance(other) for _, other, _ in fits) for _, fit, _ in fits]
    path, fit, colours = fits[int(np.argmin(far))]
    return Reference(fit, colours, str(path), _picture([Found(path, path.parent)]))


def _picture(found: Sequence[Found | Missing]) -> Pixels | None:
    """A thumbnail of the first image."""
    for item in found:
        if isinstance(item, Found):
            with open_slide(item.path, sparse=True) as slide:
                return slide_thumbnail(slide, SIDE)
    return None


def save_stainnet(path: Path, network: StainNet) -> None:
    """Write a StainNet's weights, in its authors' layout, as safetensors.

    Raises:
        OutputError: it cannot be written.
    """
    if path.suffix != ".safetensors":
        raise OutputError(f"{path}: weights are written as .safetensors; name it so.")
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(save(network.state_dict()))


def _load_stainnet(name: str) -> StainNet:
    path = Path(name)
    if path.suffix == ".safetensors":
        state: Any = read_safetensors(path)[0]
    else:
        state = read_tree(path)
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    try:
        if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
            raise CheckpointError("holds no weights by name")
        return stainnet_from(state)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}.") from error


class _Table:
    """The table of a run's slides, a row as each is fitted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: list[dict[str, Any]] = []

    def add(
        self, view: SlideView, fit: Fit, reference: Reference, colours: Colours, mapping: Map
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
            write_picture(
                self._folder / f"{name}.png",
                view,
                mapping,
                (colours, fit),
                (reference.colours, reference.picture),
            )
