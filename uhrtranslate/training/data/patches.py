"""Patches of both domains, drawn from images as they are needed.

The n-th sample depends only on the seed and on n. So a run can resume where it was cut off without
any stored state, and the number of threads does not change the samples.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.enhance import Tally, are_matched, are_of_dark
from uhrtranslate.errors import InputError
from uhrtranslate.io import Pixels, SlideView, resized, stated_by, to_bits
from uhrtranslate.registration.agreement import agreement
from uhrtranslate.training.data.augment import Floats, as_floats, draw_turn, jitter
from uhrtranslate.training.data.drawn import Drawn
from uhrtranslate.training.data.pictures import (
    Opened,
    Picture,
    examine,
    examine_drawn,
    find_pictures,
    partners_by_name,
    pick,
)
from uhrtranslate.training.data.planes import Planes, Views, check_dark, count_levels
from uhrtranslate.training.data.tables import is_table, tile_pairs
from uhrtranslate.training.options import DataOptions, DrawOptions

# Of aligned slides: least local correlation of a sample, and places that are tried for it; if none
# has it, the best one is taken.
NCC, TRIES = 0.2, 8
# Samples of a training have smaller numbers than these, of which pictures are made.
FIRST, EXAMPLES = 1 << 40, 4

Sample = dict[str, NDArray[Any]]
"""The patches of one sample by domain (A, B), [3, p, p] float32 in -1..1; and `planes`, [c, p, p],
what the generator takes of A, if it is not A itself.
"""


@dataclass(frozen=True)
class Patches:
    """Where a training's samples come from.

    Attributes:
        pictures: the images by domain, A first; of A alone where both are side by side.
        options: how patches are drawn.
        seed: of the draws.
        opened: opens the images.
        planes: makes what the generator takes of A; None if it takes A's colours.
        histograms: of all images of each domain together, if planes need them; else empty.
    """

    pictures: dict[str, list[Picture]]
    options: DrawOptions
    seed: int
    opened: Opened
    planes: Planes | None = None
    histograms: dict[str, Tally] = field(default_factory=dict)

    def sample(self, number: int) -> Sample:
        """The patches of a sample."""
        raise NotImplementedError

    def examples(self) -> list[Sample]:
        """Samples that no step draws, always the same."""
        return [self.sample(FIRST + number) for number in range(EXAMPLES)]

    def views(self, domain: str) -> Views:
        """What opens an image of a domain, as far as patches are drawn from it."""
        return self.opened.view

    def _source(self, path: Path, pixels: Pixels, random: np.random.Generator) -> Sample:
        """A patch of A of 8 or 16 bits, with its colours changed, and its planes."""
        patch = jitter(_colours(pixels), self.options.jitter, random)
        if self.planes is None:
            return {"A": patch}
        changed = patch if self.options.jitter else None
        return {"A": patch, "planes": self.planes.make(path, pixels, changed)}

    def epoch_length(self) -> int:
        """Samples per epoch: the option, or as many as fit side by side into the tissue of A."""
        if self.options.epoch is not None:
            return self.options.epoch
        area = sum(max(one.area / self.options.patch**2, 1) for one in self.pictures["A"])
        return max(round(area), 1)

    def manifest(self) -> dict[str, Any]:
        """All images by domain, with what identifies each."""
        return {name: [one.record() for one in ones] for name, ones in self.pictures.items()}

    def mpp(self) -> float | None:
        """Resolution of the patches: the option, or that of the first image of A."""
        return self.options.mpp if self.options.mpp is not None else self.pictures["A"][0].mpp

    def doubts(self) -> list[str]:
        """What may be wrong with the images' resolution, in sentences."""
        if self.options.mpp is not None:
            return []
        ones = [one for pictures in self.pictures.values() for one in pictures]
        known = [one for one in ones if one.mpp is not None]
        if len(known) < len(ones):
            unknown = next(one for one in ones if one.mpp is None)
            some = (
                f"and {len(ones) - len(known) - 1} more do not"
                if len(ones) - len(known) > 1
                else "does not"
            )
            return [
                f"{unknown.path} {some} say the mpp, so nobody can check that slides fit the "
                "generator; state it with data.source_mpp, or data.source_power: 20."
            ]
        low, high = (pick(known, key=lambda one: one.mpp or 0) for pick in (min, max))
        if (high.mpp or 0) > 1.25 * (low.mpp or 0):
            return [
                f"{low.path} has {low.mpp:.3g} um/px, and {high.path} {high.mpp:.3g}; have them "
                "resampled with data.mpp."
            ]
        return []

    def close(self) -> None:
        """Close all images."""
        self.opened.close()


@dataclass(frozen=True)
class Unpaired(Patches):
    """Patches drawn from each domain independently."""

    options: DataOptions

    def sample(self, number: int) -> Sample:
        """See `Patches`."""
        sample: Sample = {}
        for stream, name in enumerate(self.pictures):
            sample |= self._draw(name, stream, number)
        return sample

    def _draw(self, domain: str, stream: int, number: int) -> Sample:
        random = np.random.default_rng([self.seed, stream, number])
        picture = pick(self.pictures[domain], random)
        side = self.options.patch
        pixels = self.opened.read(picture.path, *picture.place(side, random), side, side)
        pixels = draw_turn(self.options, random)(pixels)
        if domain == "A":
            return self._source(picture.path, pixels, random)
        return {domain: jitter(_colours(pixels), self.options.jitter, random)}


@dataclass(frozen=True)
class Paired(Patches):
    """Patches of the same place in two looks.

    Attributes:
        partners: opens the images of B; None: as those of A.
        partner_of: path of the image of B by that of A.
        drawn: slides that a transform lays on each other, if they are these.
    """

    options: DataOptions
    partners: Opened | None = None
    partner_of: dict[Path, Path] = field(default_factory=dict)
    drawn: Drawn | None = None

    def sample(self, number: int) -> Sample:
        """See `Patches`."""
        random = np.random.default_rng([self.seed, 0, number])
        picture, a, b = self._draw(random)
        turn = draw_turn(self.options, random)
        return {**self._source(picture.path, turn(a), random), "B": _colours(turn(b))}

    def _draw(self, random: np.random.Generator) -> tuple[Picture, Pixels, Pixels]:
        """A picture, and a place of it in both looks; of aligned slides, one where they agree."""
        least = NCC if self.options.ncc is None else self.options.ncc
        best = None
        for _ in range(1 if self.drawn is None else TRIES):
            picture = pick(self.pictures["A"], random)
            a, b = self._read(picture, *picture.place(self.options.patch, random))
            if self.drawn is None:
                return picture, a, b
            ncc = self.drawn.signs[picture.path] * agreement(
                *(to_bits(one, 8 * one.itemsize) for one in (a, b))
            )
            if best is None or ncc > best[0]:
                best = ncc, picture, a, b
            if ncc >= least:
                break
        assert best is not None
        return best[1:]

    def manifest(self) -> dict[str, Any]:
        """See `Patches`; with the transforms, if there are any."""
        found = super().manifest()
        return found if self.drawn is None else found | {"transforms": list(self.drawn.records)}

    def doubts(self) -> list[str]:
        """See `Patches`; and which pairs of slides are not used."""
        return [*super().doubts(), *(self.drawn.left_out if self.drawn is not None else ())]

    def _read(self, picture: Picture, x: int, y: int) -> tuple[Pixels, Pixels]:
        side = self.options.patch
        a = self.opened.read(picture.path, x, y, side, side)
        if self.options.pairs == "side-by-side":
            return a, self.opened.read(picture.path, x + picture.width, y, side, side)
        with (self.partners or self.opened).view(self.partner_of[picture.path]) as view:
            if self.options.pairs == "slides":
                view = resized(view, picture.width, picture.height)
            return a, view.read(x, y, side, side)

    def views(self, domain: str) -> Views:
        """See `Patches`."""
        if self.options.pairs == "side-by-side":
            return partial(_half, self.opened, domain == "B")
        return (self.partners or self.opened).view if domain == "B" else self.opened.view

    def close(self) -> None:
        """See `Patches`."""
        super().close()
        if self.partners is not None:
            self.partners.close()


@contextmanager
def _half(opened: Opened, right: bool, path: Path) -> Iterator[SlideView]:
    """One half of a view of two images side by side."""
    with opened.view(path) as view:
        width = view.width // 2
        start = width if right else 0
        yield replace(view, width=width, pixels=lambda x, y, w, h: view.pixels(start + x, y, w, h))


def _colours(pixels: Pixels) -> Floats:
    """[h, w, 3] of 8 or 16 bits to [3, h, w] float32 in -1..1."""
    return as_floats(to_bits(pixels, 8 * pixels.itemsize))


def open_patches(
    options: DataOptions,
    paired: bool,
    seed: int,
    inputs: Sequence[str] = ("rgb",),
    one_domain: bool = False,
    drawn: Drawn | None = None,
) -> Patches:
    """Find and check all images of a training.

    Args:
        options: where they are and what is drawn of them.
        paired: whether the method needs pairs.
        seed: of the draws.
        inputs: planes that the generator takes, in `tables.PLANES`.
        one_domain: whether there are only images of A, and they are the stained ones: of them no
            planes are made.
        drawn: the slides of a table of pairs of slides, if `options.a` is one.

    Raises:
        InputError: an image cannot be read, is too small, has no tissue, or has no partner; says
            which. Planes need dark fields, and there are none.
        OptionError: an image has no such level or mpp.
    """
    deep = are_matched(inputs)
    if drawn is not None:
        return _with_planes(_open_drawn(options, seed, drawn, deep), inputs)
    opened = Opened(options.level, options.mpp, stated_by(options), deep)
    # A scan of another scanner has its own levels and mpp; it is brought to its partner's size.
    partners = Opened(deep=deep) if options.pairs == "slides" else None
    try:
        if paired:
            return _with_planes(_open_pairs(options, seed, opened, partners), inputs)
        if options.b is None and not one_domain and not is_table(options.a):
            raise InputError("data.b: is missing; unpaired methods need images of each domain.")
        pictures = {
            name: [_examined(path, opened, options) for path in find_pictures(place)]
            for name, place in (("A", options.a), ("B", options.b))
            if place is not None and not is_table(options.a)
        }
        if is_table(options.a):
            both = tile_pairs(options.a, options.split, options.ncc)
            pictures = {
                name: [_examined(pair[side], opened, options) for pair in both]
                for side, name in enumerate("AB")
            }
        unpaired = Unpaired(pictures, options, seed, opened)
        if one_domain:
            paths = [one.path for one in pictures["A"]]
            counted = count_levels({"B": (opened.view, paths)}, options.workers)
            return replace(unpaired, histograms=counted)
        return _with_planes(unpaired, inputs)
    except BaseException:
        opened.close()
        if partners is not None:
            partners.close()
        raise


def _with_planes(patches: Unpaired | Paired, inputs: Sequence[str]) -> Patches:
    """Patches with what the generator takes, and with the histograms that it is made with."""
    histograms: dict[str, Tally] = {}
    if are_matched(inputs):
        options = patches.options
        paths = {name: [one.path for one in ones] for name, ones in patches.pictures.items()}
        first = next(iter(paths.values()))  # where both domains are side by side
        domains = {name: (patches.views(name), paths.get(name, first)) for name in "AB"}
        histograms = count_levels(domains, options.workers)
        if are_of_dark(inputs):
            check_dark(histograms, options.a, options.b)
    planes = None if tuple(inputs) == ("rgb",) else Planes(inputs, patches.views("A"), histograms)
    return replace(patches, planes=planes, histograms=histograms)


def _open_pairs(options: DataOptions, seed: int, opened: Opened, partners: Opened | None) -> Paired:
    if options.b is None and not is_table(options.a):
        halves = [_examined(path, opened, options) for path in find_pictures(options.a)]
        return Paired({"A": halves}, options, seed, opened)
    pictures: dict[str, list[Picture]] = {"A": [], "B": []}
    if options.b is None:
        pairs = tile_pairs(options.a, options.split, options.ncc)
    else:
        pairs = partners_by_name(find_pictures(options.a), find_pictures(options.b))
    for path, partner in pairs:
        first = _examined(path, opened, options)
        with (partners or opened).view(partner) as view:
            if options.pairs == "slides":
                view = resized(view, first.width, first.height)
            if (view.width, view.height) != (first.width, first.height):
                raise InputError(
                    f"{partner}: has {view.width} x {view.height} px where its partner {path} has "
                    f"{first.width} x {first.height}; cut both alike, or set data.pairs: slides."
                )
            pictures["A"].append(first)
            pictures["B"].append(examine(partner, view, options.patch, 0))
    return Paired(pictures, options, seed, opened, partners=partners, partner_of=dict(pairs))


def _open_drawn(options: DataOptions, seed: int, drawn: Drawn, deep: bool) -> Paired:
    opened = Opened(deep=deep, opening=drawn.open_a)
    partners = Opened(deep=deep, opening=drawn.open_b)
    pictures: dict[str, list[Picture]] = {"A": [], "B": []}
    for path, partner in drawn.pairs:
        with opened.view(path) as view, partners.view(partner) as other:
            pictures["A"].append(examine_drawn(drawn, path, view, options.patch, options.tissue))
            pictures["B"].append(examine(partner, other, options.patch, 0))
    partner_of = dict(drawn.pairs)
    return Paired(pictures, options, seed, opened, None, {}, partners, partner_of, drawn)


def _examined(path: Path, opened: Opened, options: DataOptions) -> Picture:
    with opened.view(path) as view:
        half = None
        if options.pairs == "side-by-side":
            if view.width % 2:
                raise InputError(
                    f"{path}: is {view.width} px wide, so it cannot be two images side by side; "
                    "its width must be even."
                )
            half = (view.width // 2, view.height)
        return examine(path, view, options.patch, options.tissue, half)
