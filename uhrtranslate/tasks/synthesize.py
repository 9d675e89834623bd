"""Make images of a class out of noise, of any size, by a latent diffusion model."""

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from uhrtranslate.engine import EnlargedSlide, ViewedSlide
from uhrtranslate.errors import InputError, OptionError
from uhrtranslate.io import (
    Pixels,
    VirtualSlide,
    fingerprint,
    open_slide,
    open_view,
    resized,
    suffix_of,
)
from uhrtranslate.io.files.fingerprint import Fingerprint
from uhrtranslate.options import SynthesizeOptions
from uhrtranslate.recipes.latent_networks import LatentNetworks, open_networks
from uhrtranslate.recipes.synthesizer import Synthesizer, check_size, of_text
from uhrtranslate.runs.events import Advanced, ImageResult, OnComputed, OnEvent
from uhrtranslate.runs.one_image import process_slide
from uhrtranslate.runs.orders import Order, make_all
from uhrtranslate.runs.outputs import is_one_output

# How far the proportions of a layout may be from those of the image.
PROPORTION = 0.02


def synthesize(
    output: Path | None,
    options: SynthesizeOptions,
    *,
    on_event: OnEvent = lambda event: None,
) -> list[ImageResult]:
    """Synthesize images; those that fail do not stop the others.

    Args:
        output: a file for one image, else a folder, where images are named by class and seed.
        options: of the sampling.
        on_event: called with each start, progress, and each result, including failures.

    Raises:
        OptionError: options do not fit each other or the model.
        CheckpointError: the model cannot be loaded.
        InputError: the layout cannot be read, or has other proportions.
        OutputError: the record cannot be written.
    """
    if output is None:
        raise OptionError("-o: name a folder, or a file for one image.")
    networks = open_networks(options)
    _check(options, networks)
    if is_one_output(output):
        if options.count > 1:
            raise OptionError(f"-o {output}: is one file, and -n asks for {options.count} images.")
        if options.png:
            raise OptionError(f"--png: is for folders; {output} says what it is by its ending.")
    ending = ".png" if options.png else suffix_of(options.format)
    orders = []
    for seed in range(options.seed, options.seed + options.count):
        name = f"{options.prompt}-{seed}"
        # A class may be named in ways that no file can be.
        safe = "".join(c if c.isalnum() or c in " ._+-" else "_" for c in name).lstrip(".")
        target = output if is_one_output(output) else output / f"{safe}{ending}"
        own = options.model_copy(update={"seed": seed, "count": 1})
        make = partial(_synthesize_one, networks, own, target, name)
        orders.append(Order(name, target, own, make))
    return make_all(orders, output, on_event)


class _Blank(VirtualSlide):
    """An image of a size of which there is nothing yet."""

    def __init__(
        self, name: str, width: int, height: int, mpp: float | None, made_of: Fingerprint
    ) -> None:
        super().__init__(width, height, _white, None if mpp is None else (mpp, mpp))
        self.info = replace(self.info, path=name)
        self._made_of = made_of

    def fingerprint(self) -> Fingerprint:
        """That of what it will be made of."""
        return self._made_of


def _white(x: int, y: int, w: int, h: int) -> Pixels:
    return np.full((h, w, 3), 255, np.uint8)


def _synthesize_one(
    networks: LatentNetworks,
    options: SynthesizeOptions,
    target: Path,
    name: str,
    on_event: OnEvent,
    computed: OnComputed,
) -> ImageResult:
    width, height = options.size
    facts: dict[str, object] = {"size": [width, height]}
    with ExitStack() as stack:
        picture = None
        if options.layout is not None:
            layout = stack.enter_context(open_slide(options.layout))
            view = open_view(layout)
            smaller = view.width <= width and view.height <= height
            picture = (
                EnlargedSlide(view, width, height)
                if smaller
                else ViewedSlide(resized(view, width, height))
            )
            facts["layout"] = options.layout.name
            facts["layout_hash"] = fingerprint(options.layout).quickhash

        def progress(pixels: int) -> None:
            on_event(Advanced(name, pixels))

        recipe = stack.enter_context(
            Synthesizer("synthesize", networks, options, target, picture, facts, progress)
        )
        slide = _Blank(name, width, height, networks.model.mpp, of_text(facts))
        result = process_slide(recipe, slide, target, on_event, computed)
        recipe.discard()
    return result


def _check(options: SynthesizeOptions, networks: LatentNetworks) -> None:
    """Check what can be known of the size and the layout before any work."""
    (width, height), model = options.size, networks.model
    factor = model.factor
    check_size("synthesize", width, height, model.tile * factor)
    if width % factor or height % factor:
        near = "x".join(str(max(round(side / factor), 1) * factor) for side in options.size)
        raise OptionError(
            f"--size {width}x{height}: both sides must be multiples of {factor}, the autoencoder's "
            f"factor; {near} is near."
        )
    if options.layout is None:
        return
    with open_slide(options.layout) as layout:
        w, h = layout.info.width, layout.info.height
    if abs(w / h / (width / height) - 1) > PROPORTION:
        raise InputError(
            f"{options.layout}: has {w} x {h} px, which are other proportions than --size "
            f"{width}x{height}; crop it, or choose another size."
        )
