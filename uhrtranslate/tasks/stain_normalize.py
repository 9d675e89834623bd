"""Folders of slides brought to the colours of one reference."""

from collections.abc import Sequence
from pathlib import Path

from uhrtranslate.errors import OptionError
from uhrtranslate.io import Found
from uhrtranslate.options import ImageOptions, StainOptions, TranslateOptions, validated
from uhrtranslate.recipes.recipe import Recipe
from uhrtranslate.recipes.stain_normalizer import (
    StainNormalizer,
    distil_normalizer,
    find_reference,
    save_fit,
    save_stainnet,
)
from uhrtranslate.recipes.translator import Translator
from uhrtranslate.runs.events import OnEvent, TranslateResult
from uhrtranslate.runs.items import Item
from uhrtranslate.runs.many_images import recolour_many


def stain_normalize(
    items: Sequence[Item],
    output: Path | None,
    options: StainOptions,
    target: str | None = None,
    *,
    fit: Path | None = None,
    network: Path | None = None,
    qc: Path | None = None,
    on_event: OnEvent = lambda event: None,
) -> list[TranslateResult]:
    """Bring images to the stain colours of a reference; those that fail do not stop the others.

    Args:
        items: the inputs.
        output: a file for one input, else a folder; None writes beside the inputs.
        options: how.
        target: the reference, see `find_reference`; None for networks, which know their own.
        fit: also write the reference's fit to this file.
        network: also write a StainNet that does the same to slides like the first input.
        qc: folder for a picture of each slide and a table of all.
        on_event: told of each start, progress, and each result, failures included.

    Raises:
        OptionError, InputError, CheckpointError: nothing can be done with these options.
        OutputError: fit, network or folder cannot be written.
    """
    if target is not None and options.method in ("stainnet", "model"):
        raise OptionError("--target: a network knows its own; leave it out.")
    inputs = [item.input for item in items]
    reference = None if target is None else find_reference(target, inputs, options)
    recipe: Recipe
    if options.method == "model":
        shared = options.model_dump(include=set(ImageOptions.model_fields))
        recipe = Translator(validated(TranslateOptions, {"model": options.model, **shared}))
    else:
        recipe = StainNormalizer(options, reference, qc)
    if reference and fit:
        save_fit(fit, options, reference.fit)
    first = next((found.path for found in inputs if isinstance(found, Found)), None)
    if reference and network and first is not None:
        save_stainnet(network, distil_normalizer(first, reference, options))
    return recolour_many(items, output, recipe, on_event)
