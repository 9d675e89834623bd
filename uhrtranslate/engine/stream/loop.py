"""The streaming loop: one pass over the image, from top to bottom, in bounded memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from uhrtranslate.engine.stream.clock import DENSE, READ, STATISTICS, WRITE, Clock
from uhrtranslate.engine.stream.masking import Masking
from uhrtranslate.engine.stream.rows import RowBuffer, Source
from uhrtranslate.engine.stream.transform import Transform
from uhrtranslate.geometry import Tile
from uhrtranslate.io import Sink

Progress = Callable[[int], None]
EVERYTHING = Masking()


def stream(
    source: Source,
    transform: Transform,
    sink: Sink,
    *,
    batch: int = 1,
    workers: int = 2,
    progress: Progress = lambda pixels: None,
    start: int = 0,
    masking: Masking = EVERYTHING,
    clock: Clock | None = None,
) -> None:
    """Run a transform over an image.

    Bands of tiles go from top to bottom; before each, the rows of cells whose statistics it needs
    are observed, so every row is read once, however often it is forwarded. The composition of
    batches depends on the image alone, never on timing.

    Args:
        source: the image.
        transform: what to do; its plan must be for the source's size.
        sink: takes the result, in order of bands.
        batch: tiles or cells that are computed together.
        workers: reader threads; they change nothing but the speed.
        progress: told the number of finished pixels of each batch of tiles.
        start: pixel row at which a band begins; what lies above it is in the sink already.
        masking: which cells are computed, and what stands in place of the others.
        clock: told where the time goes.
    """
    plan, clock = transform.plan, clock or Clock()
    if start >= source.height:
        return
    grid = plan.grid
    observed = transform.first_row(start)
    tail = max(grid.cell, plan.halo) + 8 * plan.stride
    first = plan.rows_read(start, start + 1)[0]
    if transform.rows_needed(start, start + 1):
        first = min(first, observed * grid.cell)
    with RowBuffer(source, workers, tail, first, lambda box: masking.reads(box, plan)) as rows:
        for y0, y1 in plan.bands(start):
            for row in range(observed, transform.rows_needed(y0, y1)):
                kept = masking.kept(row, grid)
                cells = (
                    [rows.view(grid.box(row, c)) if kept[c] else None for c in columns]
                    for columns in _batches(kept, batch)
                )
                with clock.waiting(STATISTICS):
                    transform.observe(row, clock.timed(READ, cells))
                observed = row + 1
            tiles, background = masking.cut(plan, y0, y1)
            for box in background:
                sink.write(box.x, box.y, masking.backdrop(box, rows))
                progress(box.w * box.h)
            groups = list(_alike(tiles, batch))
            sources = ((group, [rows.view(tile.source) for tile in group]) for group in groups)
            results = clock.timed(DENSE, transform.apply(clock.timed(READ, sources)))
            for group, done in zip(groups, results, strict=True):
                with clock.waiting(WRITE):
                    for tile, pixels in zip(group, done, strict=True):
                        core = tile.core
                        sink.write(core.x, core.y, masking.joined(plan, core, pixels, rows))
                progress(sum(tile.core.w * tile.core.h for tile in group))
            with clock.waiting(WRITE):
                sink.reached(y1)
            transform.forget_above(y1)
            next_read = plan.rows_read(y1, y1 + 1)[0]
            rows.drop_above(min(next_read, observed * grid.cell) if observed else next_read)


def _batches(kept: Sequence[bool], size: int) -> Iterator[range]:
    """Consecutive columns, `size` of them kept; in the last perhaps fewer."""
    first = count = 0
    for column, keep in enumerate(kept):
        count += keep
        if count == size:
            yield range(first, column + 1)
            first, count = column + 1, 0
    if first < len(kept):
        yield range(first, len(kept))


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
