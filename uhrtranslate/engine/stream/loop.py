"""The streaming loop: one pass over the image, from top to bottom, in bounded memory."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

from uhrtranslate.engine.stream.clock import DENSE, READ, STATISTICS, WRITE, Clock
from uhrtranslate.engine.stream.masking import Masking
from uhrtranslate.engine.stream.mosaic import Mosaic
from uhrtranslate.engine.stream.rows import RowBuffer
from uhrtranslate.engine.stream.schedule import EVERYTHING, CellRow, Schedule
from uhrtranslate.engine.stream.transform import Recorded, Transform
from uhrtranslate.io import Sink
from uhrtranslate.pixels import Pixels, Source

Progress = Callable[[int], None]
Stored = Callable[[int], Recorded]


def stream(
    source: Source,
    transform: Transform,
    sink: Sink,
    *,
    batch: int = 1,
    workers: int = 2,
    progress: Progress = lambda pixels: None,
    start: int = 0,
    end: int | None = None,
    masking: Masking = EVERYTHING,
    clock: Clock | None = None,
    stored: Stored | None = None,
) -> None:
    """Run a transform over an image, in the order of its schedule, by threads of this process.

    Before each band, the rows of cells whose statistics it needs are recorded. Their pixels are
    kept until they are computed, so that every row is read only once, however often it is
    forwarded; unless they are that far ahead that keeping them would take much memory.

    Args:
        source: the image.
        transform: what to do; its plan must be for the source's size.
        sink: receives the result, in order of bands.
        batch: tiles or cells that are computed together.
        workers: reader threads; they only affect the speed.
        progress: called with the number of finished pixels after each batch of tiles, and with 0
            before each batch of cells; what it raises ends the work.
        start: pixel row at which a band begins; the rows above it are in the sink already.
        end: pixel row at which a band ends; the rows below it are somebody else's. None: the last.
        masking: which cells are computed, and what replaces the others.
        clock: measures where the time goes.
        stored: gives the statistics of a row of cells that `record` has given before; None
            records them.
    """
    plan, clock = transform.plan, clock or Clock()
    if start >= source.height:
        return
    schedule = Schedule(plan, transform.reach, masking, batch, recorded=stored is not None)

    def reading(first: int) -> RowBuffer:
        return RowBuffer(
            source, workers, schedule.tail, first, lambda box: masking.reads(box, plan)
        )

    with ExitStack() as buffers:
        rows = ahead = buffers.enter_context(reading(schedule.first_pixels(start)))
        if schedule.reads_twice and stored is None:
            ahead = buffers.enter_context(reading(schedule.first_observed(start)))
        mosaic = Mosaic(plan, start)
        for band in schedule.bands(start, end):
            for row in band.cells:
                if stored is not None:
                    with clock.waiting(STATISTICS):
                        transform.restore(row.row, stored(row.row))
                    continue
                _observe(row, transform, ahead, clock, progress)
                if schedule.reads_twice:
                    ahead.drop_above((row.row + 1) * plan.grid.cell)
            for box in band.background:
                sink.write(box.x, box.y, masking.backdrop(box, rows))
                progress(box.w * box.h)
            sources = (
                (tiles, [rows.view(tile.source) for tile in tiles]) for tiles in band.batches
            )
            results = clock.timed(DENSE, transform.apply(clock.timed(READ, sources)))
            for tiles, done in zip(band.batches, results, strict=True):
                finished = 0
                with clock.waiting(WRITE):
                    for tile, pixels in zip(tiles, done, strict=True):
                        for core, final in mosaic.add(tile, pixels):
                            sink.write(core.x, core.y, masking.joined(plan, core, final, rows))
                            finished += core.w * core.h
                progress(finished)
            mosaic.reached(band.y1)
            if band.y1 > start:  # the sink has more than the bands above it, and may not save less
                with clock.waiting(WRITE):
                    sink.reached(band.y1)
            transform.forget_above(band.first_cells)
            rows.drop_above(band.first_pixels)


def record(
    source: Source,
    transform: Transform,
    rows: range,
    *,
    batch: int = 1,
    workers: int = 2,
    progress: Progress = lambda pixels: None,
    masking: Masking = EVERYTHING,
) -> Iterator[tuple[int, Recorded]]:
    """The statistics of some rows of cells, for `stream` in other processes; no tile is computed.

    For the other arguments see `stream`.
    """
    plan, clock = transform.plan, Clock()
    schedule = Schedule(plan, transform.reach, masking, batch)
    first = rows.start * plan.grid.cell
    with RowBuffer(
        source, workers, schedule.tail, first, lambda box: masking.reads(box, plan)
    ) as buffer:
        for row in rows:
            _observe(schedule.cell_row(row), transform, buffer, clock, progress)
            yield row, transform.recorded(row)
            transform.forget_above(row + 1)
            buffer.drop_above((row + 1) * plan.grid.cell)
            progress(plan.grid.width * min(plan.grid.cell, plan.grid.height - row * plan.grid.cell))


def observe_all(source: Source, transform: Transform, *, batch: int = 1, workers: int = 2) -> None:
    """Record the statistics of all cells of an image, from top to bottom, and compute no tile.

    For the arguments see `stream`.
    """
    grid, clock = transform.plan.grid, Clock()
    schedule = Schedule(transform.plan, transform.reach, batch=batch)
    with RowBuffer(source, workers, schedule.tail) as rows:
        for row in range(grid.rows):
            _observe(schedule.cell_row(row), transform, rows, clock)
            rows.drop_above((row + 1) * grid.cell)


def _observe(
    row: CellRow,
    transform: Transform,
    rows: RowBuffer,
    clock: Clock,
    progress: Progress = lambda pixels: None,
) -> None:
    """Let the transform record the statistics of a row of cells."""

    def cells() -> Iterator[list[Pixels | None]]:
        for batch in row.batches:
            progress(0)
            yield [None if box is None else rows.view(box) for box in batch]

    with clock.waiting(STATISTICS):
        transform.observe(row.row, clock.timed(READ, cells()))
