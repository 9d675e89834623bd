"""Give slides the stain colours of one reference."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from uhrtranslate.cluster.execute import on_cluster
from uhrtranslate.cluster.makers import CLIENTS_OWN, StainNetworkMaker, TranslatorMaker
from uhrtranslate.cluster.orders import Made
from uhrtranslate.errors import OptionError
from uhrtranslate.io import Found, open_view
from uhrtranslate.options import StainOptions, TranslateOptions, validated
from uhrtranslate.recipes.network_table import NetworkTable
from uhrtranslate.recipes.recipe import Recipe, Skipped
from uhrtranslate.recipes.stain_generator import StainGenerator
from uhrtranslate.recipes.stain_network import StainNetwork, distil_normalizer, save_stainnet
from uhrtranslate.recipes.stain_normalizer import StainNormalizer
from uhrtranslate.recipes.stain_reference import find_reference, save_fit
from uhrtranslate.recipes.stain_survey import survey
from uhrtranslate.runs.events import Event, ImageResult, OnEvent
from uhrtranslate.runs.items import Item
from uhrtranslate.runs.many_images import Execute, run_recipe
from uhrtranslate.runs.prepared import opened
from uhrtranslate.tables import STAINNET
from uhrtranslate.threads import Workers, result_of


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
    shared = options.cluster is not None
    if options.model is not None:
        if target is not None:
            raise OptionError("--target: a network knows its own; leave it out.")
        draw = None if qc is None else _compared(NetworkTable(qc, options))
        with _drawn(draw, on_event, beside=shared) as tell:
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
    if not shared:
        return run_recipe(items, output, recipe, on_event)
    workers = StainNormalizer(options, reference, None, others)
    draw = None if qc is None else _fitted_again(recipe, items)
    with _drawn(draw, on_event, beside=True) as tell:
        return run_recipe(items, output, workers, tell, on_cluster(options, Made(workers)))


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


def _compared(table: NetworkTable) -> Callable[[ImageResult], None]:
    """Adds results to a table."""

    def draw(result: ImageResult) -> None:
        if result.output and result.status != "failed":
            table.add(result.input, Path(result.output))

    return draw


def _fitted_again(recipe: StainNormalizer, items: Sequence[Item]) -> Callable[[ImageResult], None]:
    """Draws what workers of a cluster have done, whose table is the client's."""
    sources = {item.name: item.input.source for item in items if isinstance(item.input, Found)}

    def draw(result: ImageResult) -> None:
        if result.status == "failed" or (result.status == "skipped" and result.output):
            return
        chosen = recipe.options
        with opened(recipe, sources[result.input]) as slide, suppress(Skipped):
            recipe.mapping(open_view(slide, chosen.level, chosen.mpp, chosen.region), {})

    return draw


@contextmanager
def _drawn(
    draw: Callable[[ImageResult], None] | None, on_event: OnEvent, beside: bool
) -> Iterator[OnEvent]:
    """Have each result drawn, and events passed on.

    Args:
        draw: takes results; None draws nothing.
        on_event: takes events.
        beside: draw in a thread, so that workers of a cluster need not wait; all is drawn when the
            block ends.
    """
    if draw is None:
        yield on_event
        return
    futures = []
    with Workers(1, "uhrt-qc") as drawing:

        def tell(event: Event) -> None:
            if isinstance(event, ImageResult):
                if beside:
                    futures.append(drawing.submit(draw, event))
                else:
                    draw(event)
            on_event(event)

        yield tell
        for future in futures:
            result_of(future)
