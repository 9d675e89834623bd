"""Patches of classes at two levels: native ones, and regions that are shrunk to a patch."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from uhrtranslate.errors import InputError, OptionError
from uhrtranslate.io import SlideView, resized, stated_by
from uhrtranslate.models.prompts import LEVELS, Level, Prompts
from uhrtranslate.pixels import Pixels
from uhrtranslate.training.data.augment import as_floats, draw_turn, jitter
from uhrtranslate.training.data.patches import FIRST, Patches, Sample
from uhrtranslate.training.data.pictures import Opened, Picture, examine, find_pictures, pick
from uhrtranslate.training.level_options import ClassOptions, ImageOptions, LevelOptions

# Examples for pictures of progress, where there are more prompts.
MOST_EXAMPLES = 28


@dataclass(frozen=True)
class Levelled(Patches):
    """Patches of each class at each level, in turn.

    A sample has `images`, [3, p, p] float32 in -1..1, and `prompts`, its identifier, [] int64.

    Attributes:
        pictures: images that native patches are drawn from, by class.
        overviews: those that shrunk patches are drawn from, as they are shrunk, by class.
        shrunk: opens images that are shrunk already; None: overviews are those of `opened`.
        models: records of the weights that the training also depends on.
    """

    options: LevelOptions
    overviews: Mapping[str, Sequence[Picture]] = field(default_factory=dict)
    shrunk: Opened | None = None
    models: Sequence[dict[str, Any]] = ()

    @property
    def prompts(self) -> Prompts:
        """Identifies classes and levels."""
        return Prompts(tuple(self.pictures))

    def kinds(self) -> list[tuple[str, Level]]:
        """Classes and levels that there are patches of."""
        ones = [(name, level) for name in self.pictures for level in LEVELS]
        return [(name, level) for name, level in ones if level == "patch" or self.overviews[name]]

    def sample(self, number: int) -> Sample:
        """See `Patches`; consecutive ones are of each kind once, in an order that changes."""
        kinds = self.kinds()
        turn, place = divmod(number, len(kinds))
        order = np.random.default_rng([self.seed, 1, turn]).permutation(len(kinds))
        name, level = kinds[order[place]]
        return self._draw(name, level, number)

    def examples(self) -> list[Sample]:
        """See `Patches`; one of each kind."""
        kinds = enumerate(self.kinds()[:MOST_EXAMPLES], FIRST)
        return [self._draw(name, level, number) for number, (name, level) in kinds]

    def epoch_length(self) -> int:
        """See `Patches`; of native patches of all classes."""
        if self.options.epoch is not None:
            return self.options.epoch
        ones = [one for pictures in self.pictures.values() for one in pictures]
        return max(round(sum(max(one.area / self.options.patch**2, 1) for one in ones)), 1)

    def manifest(self) -> dict[str, Any]:
        """See `Patches`."""
        found = super().manifest()
        if self.models:
            found["models"] = list(self.models)
        if self.shrunk is None:
            return found
        more = self.overviews.items()
        return found | {f"{name}, overall": [one.record() for one in ones] for name, ones in more}

    def mpp(self) -> float | None:
        """See `Patches`; of native patches."""
        first = next(iter(self.pictures.values()))[0]
        return self.options.mpp if self.options.mpp is not None else first.mpp

    def close(self) -> None:
        """See `Patches`."""
        super().close()
        if self.shrunk is not None:
            self.shrunk.close()

    def _draw(self, name: str, level: Level, number: int) -> Sample:
        random = np.random.default_rng([self.seed, 0, number])
        pictures = self.pictures[name] if level == "patch" else self.overviews[name]
        picture = pick(pictures, random)
        place = picture.place(self.options.patch, random)
        pixels = draw_turn(self.options, random)(self._read(picture.path, level, *place))
        images = jitter(as_floats(pixels), self.options.jitter, random)
        prompt = np.array(self.prompts.identifier(name, level), np.int64)
        return {"images": images, "prompts": prompt}

    def _read(self, path: Path, level: Level, x: int, y: int) -> Pixels:
        side = self.options.patch
        if level == "patch":
            return self.opened.read(path, x, y, side, side)
        with overview(self.shrunk, self.opened, path, self.options.shrink) as view:
            assert view is not None  # it was large enough when it was examined
            return view.read(x, y, side, side)


@contextmanager
def overview(
    shrunk: Opened | None, opened: Opened, path: Path, factor: int
) -> Iterator[SlideView | None]:
    """A shrunk view of an image, open during the block; None if it is smaller than a pixel."""
    if shrunk is not None:
        with shrunk.view(path) as view:
            yield view
        return
    with opened.view(path) as view:
        size = view.width // factor, view.height // factor
        yield resized(view, *size) if min(size) else None


def open_images(options: ImageOptions, seed: int) -> Levelled:
    """Find and check the images of an autoencoder.

    Raises:
        InputError: there are none, or one cannot be read, is too small, or has no tissue.
        OptionError: an image has no such level or mpp.
    """
    return _open({"images": options.images}, None, options, seed)


def open_classes(options: ClassOptions, seed: int) -> Levelled:
    """Find and check the images of all classes.

    Raises:
        InputError: as above, or a class has no image that is large enough for an overview.
        OptionError: as above, or there are not two classes at least.
    """
    places = class_folders("data.classes", options.classes)
    if len(places) < 2:
        name = next(iter(places))
        raise OptionError(
            f"data.classes: there is one class alone, {name}; prompts tell classes apart, so give "
            "a folder with a folder for each of two classes at least."
        )
    shrunk = None
    if options.overviews is not None:
        shrunk = class_folders("data.overviews", options.overviews)
    if shrunk is not None and set(shrunk) != set(places):
        odd = sorted(set(shrunk) ^ set(places))[0]
        raise OptionError(
            f"data.overviews: its classes are others than those of data.classes, such as {odd}; "
            "give both the same."
        )
    patches = _open(places, shrunk, options, seed)
    for name, ones in patches.overviews.items():
        if not ones:
            patches.close()
            side = options.patch * options.shrink
            raise InputError(
                f"{places[name]}: no image of class {name} has {side} x {side} px, which its "
                "overviews are shrunk from; lower data.shrink or data.patch, or give images that "
                "are shrunk already as data.overviews."
            )
    return patches


def class_folders(option: str, places: Path | dict[str, Path]) -> dict[str, Path]:
    """The folder of each class, by its name.

    Raises:
        OptionError: there is no such folder, or no folder in it.
    """
    if isinstance(places, dict):
        found = places
    elif places.is_dir():
        inside = sorted(path for path in places.iterdir() if path.is_dir())
        found = {path.name: path for path in inside if not path.name.startswith(".")}
    else:
        raise OptionError(f"{option}: {places} is not a folder; give one with a folder per class.")
    if not found:
        raise OptionError(
            f"{option}: {places} has no folders in it; give one with a folder per class."
        )
    return found


def _open(
    places: Mapping[str, Path],
    shrunk_places: Mapping[str, Path] | None,
    options: LevelOptions,
    seed: int,
) -> Levelled:
    opened = Opened(options.level, options.mpp, stated_by(options))
    shrunk = Opened() if shrunk_places is not None else None
    try:
        pictures: dict[str, list[Picture]] = {}
        overviews: dict[str, list[Picture]] = {}
        for name, place in places.items():
            pictures[name] = []
            for path in find_pictures(place):
                with opened.view(path) as view:
                    pictures[name].append(examine(path, view, options.patch, options.tissue))
            paths = [one.path for one in pictures[name]]
            if shrunk_places is not None:
                paths = find_pictures(shrunk_places[name])
            overviews[name] = []
            for path in paths if options.shrink > 1 else []:
                with overview(shrunk, opened, path, options.shrink) as far:
                    if far is not None and min(far.width, far.height) >= options.patch:
                        overviews[name].append(examine(path, far, options.patch, options.tissue))
    except BaseException:
        opened.close()
        if shrunk is not None:
            shrunk.close()
        raise
    return Levelled(pictures, options, seed, opened, None, {}, overviews, shrunk)
