"""Give slides the stain colours of one reference."""

from collections.abc import Sequence
from pathlib import Path

from uhrtranslate.cluster.execute import on_cluster
from uhrtranslate.cluster.makers import CLIENTS_OWN, StainNetworkMaker, TranslatorMaker
from uhrtranslate.cluster.orders import Made
from uhrtranslate.errors import OptionError
from uhrtranslate.io import Found
from uhrtranslate.options import StainOptions, TranslateOptions, validated
from uhrtranslate.recipes.network_table import NetworkTable
from uhrtranslate.recipes.recipe import Recipe
from uhrtranslate.recipes.stain_generator import StainGenerator
from uhrtranslate.recipes.stain_network import StainNetwork, distil_normalizer, save_stainnet
from uhrtranslate.recipes.stain_normalizer import StainNormalizer
from uhrtranslate.recipes.stain_reference import find_reference, save_fit
from uhrtranslate.recipes.stain_survey import survey
from uhrtranslate.runs.events import Event, ImageResult, OnEvent
from uhrtranslate.runs.items import Item
from uhrtranslate.runs.many_images import Execute, run_recipe
from uhrtranslate.tables import STAINNET


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
) -> list[ImageResult]:
    """Give images the stain colours of a reference; those that fail do not stop the others.

    Args:
        items: the inputs.
        output: a file for one input, else a folder; None writes next to the inputs.
        options: of the normalization.
        target: the reference, see `find_reference`; None for networks, which have their own.
        fit: also write the reference's fit to this file.
        network: also write a StainNet that does the same to slides like the first input.
        qc: folder for a picture of each slide and a table of all.
        on_event: called with each start, progress, and each result, including failures.

    Raises:
        OptionError, InputError, CheckpointError: nothing can be done with these options.
        OutputError: fit, network or folder cannot be written.
    """
    inputs = [item.input for item in items]
    if qc is not None and options.model is None and options.cluster is not None:
        raise OptionError("--qc: makes one table of all slides, so leave out --cluster, or --qc.")
    if options.model is not None:
        if target is not None:
            raise OptionError("--target: a network knows its own; leave it out.")
        tell = on_event if qc is None else _shown(NetworkTable(qc, options), on_event)
        return run_recipe(items, output, *_network(options, options.model, tell))
    if target is None:
        raise OptionError("--target: name a reference: an image, folder, saved fit, or auto.")
    reference = find_reference(target, inputs, options)
    if fit:
        save_fit(fit, options, reference.fit)
    first = next((found.source for found in inputs if isinstance(found, Found)), None)
    if network and first is not None:
        save_stainnet(network, distil_normalizer(first, reference, options))
    others = survey(inputs, options)
    recipe = StainNormalizer(options, reference, qc, others)
    execute = None if options.cluster is None else on_cluster(options, Made(recipe))
    return run_recipe(items, output, recipe, on_event, execute)


def _network(
    options: StainOptions, model: str, tell: OnEvent
) -> tuple[Recipe, OnEvent, Execute | None]:
    """What `run_recipe` takes for a method that is a network."""
    if options.method == STAINNET:
        weights = Path(model)
        execute = (
            None if options.cluster is None else on_cluster(options, StainNetworkMaker(weights))
        )
        return StainNetwork(options, weights), tell, execute
    given = options.model_fields_set & set(TranslateOptions.model_fields)
    shared = options.model_dump(include=given)
    chosen = validated(TranslateOptions, {**shared, "model": model})
    if options.cluster is None:
        return StainGenerator(chosen), tell, None
    recipe = StainGenerator(chosen.model_copy(update=CLIENTS_OWN))
    recipe.options = chosen
    maker = TranslatorMaker({model: recipe.generator.digest}, keep_glass=True)
    return recipe, tell, on_cluster(chosen, maker)


def _shown(table: NetworkTable, on_event: OnEvent) -> OnEvent:
    """Add each result to a table, and pass events on."""

    def tell(event: Event) -> None:
        if isinstance(event, ImageResult) and event.output and event.status != "failed":
            table.add(event.input, Path(event.output))
        on_event(event)

    return tell
