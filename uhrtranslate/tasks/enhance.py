"""Give dark-field images the grey look of bright-field ones, by inverse histogram matching."""

from collections.abc import Sequence
from pathlib import Path

from uhrtranslate.cluster.execute import on_cluster
from uhrtranslate.cluster.orders import Made
from uhrtranslate.options import EnhanceOptions
from uhrtranslate.recipes.enhancer import Enhancer, find_tally, pool_tally, save_tally
from uhrtranslate.runs.events import ImageResult, OnEvent
from uhrtranslate.runs.items import Item
from uhrtranslate.runs.many_images import run_recipe


def enhance(
    items: Sequence[Item],
    output: Path | None,
    options: EnhanceOptions,
    reference: Sequence[str],
    *,
    histogram: Path | None = None,
    on_event: OnEvent = lambda event: None,
) -> list[ImageResult]:
    """Give images the histogram of a reference; those that fail do not stop the others.

    Args:
        items: the inputs.
        output: a file for one input, else a folder; None writes next to the inputs.
        options: of the enhancement.
        reference: images, folders or saved histograms, pooled.
        histogram: also write the reference's histogram to this file.
        on_event: called with each start, progress, and each result, including failures.

    Raises:
        InputError: the reference cannot be read.
        OutputError: the histogram or the folder cannot be written.
    """
    goal = find_tally(reference, options)
    if histogram:
        save_tally(histogram, goal)
    pooled = pool_tally([item.input for item in items], options) if options.pool else None
    recipe = Enhancer(options, goal, pooled)
    execute = None if options.cluster is None else on_cluster(options, Made(recipe))
    return run_recipe(items, output, recipe, on_event, execute)
