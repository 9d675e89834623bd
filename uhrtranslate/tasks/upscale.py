"""Make real images larger, with details of a class, by a latent diffusion model."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from uhrtranslate.engine import EnlargedSlide
from uhrtranslate.io import kept_suffix, open_slide, open_view, stated_by
from uhrtranslate.options import UpscaleOptions
from uhrtranslate.recipes.latent_networks import LatentNetworks, open_networks
from uhrtranslate.recipes.synthesizer import Synthesizer
from uhrtranslate.runs.events import Advanced, ImageResult, OnComputed, OnEvent
from uhrtranslate.runs.items import Item, Task
from uhrtranslate.runs.many_images import needed, planned
from uhrtranslate.runs.one_image import process_slide, refuse_input_as_output
from uhrtranslate.runs.orders import Order, make_all
from uhrtranslate.tables import UPSCALED


def upscale(
    items: Sequence[Item],
    output: Path | None,
    options: UpscaleOptions,
    *,
    on_event: OnEvent = lambda event: None,
) -> list[ImageResult]:
    """Make images larger; those that fail do not stop the others.

    Args:
        items: the inputs.
        output: a file for one input, else a folder; None writes next to the inputs.
        options: of the sampling; region and resolution are those of the source.
        on_event: called with each start, progress, and each result, including failures.

    Raises:
        OptionError: options do not fit each other or the model.
        CheckpointError: the model cannot be loaded.
        OutputError: the record cannot be written.
    """
    networks = open_networks(options)
    tasks = planned(
        items, output, options, lambda path: f".{UPSCALED}{kept_suffix(path, options.format)}"
    )
    orders = [
        Order(task.item.name, task.target, options, partial(_upscale_one, networks, options, task))
        for task in tasks
    ]
    return make_all(orders, output, on_event)


def _upscale_one(
    networks: LatentNetworks,
    options: UpscaleOptions,
    task: Task,
    on_event: OnEvent,
    computed: OnComputed,
) -> ImageResult:
    path, target = needed(task)
    refuse_input_as_output(path, target)
    with open_slide(path, sparse=options.allow_sparse, stated=stated_by(options)) as source:
        view = open_view(source, options.level, options.mpp, options.region)
        factor = options.factor
        large = EnlargedSlide(view, view.width * factor, view.height * factor)
        name = source.info.path
        facts: dict[str, Any] = {"factor": factor}
        for option in ("level", "mpp", "region"):
            if (value := getattr(options, option)) is not None:
                facts[option] = value
        with Synthesizer(
            "upscale", networks, options, target, large, facts,
            lambda pixels: on_event(Advanced(name, pixels)),
        ) as recipe:  # fmt: skip
            result = process_slide(recipe, large, target, on_event, computed)
            recipe.discard()
    return result
