"""The streaming loop: one pass over the image, from top to bottom, in bounded memory."""

from collections.abc import Callable, Iterable, Iterator

from uhrtranslate.engine.rows import RowBuffer, Source
from uhrtranslate.engine.transform import Transform
from uhrtranslate.geometry import Tile
from uhrtranslate.io import Sink

Progress = Callable[[int], None]


def stream(
    source: Source,
    transform: Transform,
    sink: Sink,
    *,
    batch: int = 1,
    workers: int = 2,
    progress: Progress = lambda pixels: None,
) -> None:
    """Run a transform over an image.

    Bands of tiles go from top to bottom; before each, the rows of cells whose statistics it needs
    are observed, so every row is read once, however often it is forwarded. The composition of
    batches depends on the image alone, never on timing.

    Args:
        source: the image.
        transform: what to do; its plan must be for the source's size.
        sink: takes the result, in order of bands, tiles from left to right.
        batch: tiles or cells that are computed together.
        workers: reader threads; they change nothing but the speed.
        progress: told the number of finished pixels of each batch of tiles.
    """
    plan = transform.plan
    grid = plan.grid
    observed = 0
    tail = max(grid.cell, plan.halo) + 8 * plan.stride
    with RowBuffer(source, workers, tail) as rows:
        for y0, y1 in plan.bands():
            for row in range(observed, transform.rows_needed(y0, y1)):
                for columns in _batches(range(grid.cols), batch):
                    transform.observe(row, [rows.view(grid.box(row, col)) for col in columns])
                observed = row + 1
            for tiles in _alike(plan.tiles(y0, y1), batch):
                done = transform.apply(tiles, [rows.view(tile.source) for tile in tiles])
                for tile, pixels in zip(tiles, done, strict=True):
                    sink.write(tile.core.x, tile.core.y, pixels)
                progress(sum(tile.core.w * tile.core.h for tile in tiles))
            transform.forget_above(y1)
            next_read = plan.rows_read(y1, y1 + 1)[0]
            rows.drop_above(min(next_read, observed * grid.cell) if observed else next_read)


def _batches(items: Iterable[int], size: int) -> Iterator[list[int]]:
    """Consecutive items in lists of `size`, the last perhaps shorter."""
    group: list[int] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _alike(tiles: Iterable[Tile], size: int) -> Iterator[list[Tile]]:
    """Consecutive tiles of equal shape, `size` of them at most."""
    group: list[Tile] = []
    for tile in tiles:
        if group and (len(group) == size or tile.shape != group[0].shape):
            yield group
            group = []
        group.append(tile)
    if group:
        yield group
