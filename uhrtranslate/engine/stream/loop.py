"""The streaming loop: one pass over the image, from top to bottom, in bounded memory."""

from collections.abc import Callable

from uhrtranslate.engine.stream.clock import DENSE, READ, STATISTICS, WRITE, Clock
from uhrtranslate.engine.stream.masking import Masking
from uhrtranslate.engine.stream.mosaic import Mosaic
from uhrtranslate.engine.stream.rows import RowBuffer
from uhrtranslate.engine.stream.schedule import EVERYTHING, Band, Schedule
from uhrtranslate.engine.stream.transform import Transform
from uhrtranslate.io import Sink
from uhrtranslate.pixels import Source

Progress = Callable[[int], None]


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
    """Run a transform over an image, in the order of its schedule, by threads of this process.

    Before each band, the rows of cells whose statistics it needs are recorded, so every row of
    pixels is read only once, however often it is forwarded.

    Args:
        source: the image.
        transform: what to do; its plan must be for the source's size.
        sink: receives the result, in order of bands.
        batch: tiles or cells that are computed together.
        workers: reader threads; they only affect the speed.
        progress: called with the number of finished pixels after each batch of tiles.
        start: pixel row at which a band begins; the rows above it are in the sink already.
        masking: which cells are computed, and what replaces the others.
        clock: measures where the time goes.
    """
    plan, clock = transform.plan, clock or Clock()
    if start >= source.height:
        return
    schedule = Schedule(plan, transform.reach, masking, batch)
    with RowBuffer(
        source,
        workers,
        schedule.tail,
        schedule.first_pixels(start),
        lambda box: masking.reads(box, plan),
    ) as rows:
        mosaic = Mosaic(plan, start)
        for band in schedule.bands(start):
            _observe(band, transform, rows, clock)
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
            with clock.waiting(WRITE):
                sink.reached(band.y1)
            transform.forget_above(band.first_cells)
            rows.drop_above(band.first_pixels)


def _observe(band: Band, transform: Transform, rows: RowBuffer, clock: Clock) -> None:
    """Let the transform record the statistics of a band's cells."""
    for row in band.cells:
        cells = (
            [None if box is None else rows.view(box) for box in batch] for batch in row.batches
        )
        with clock.waiting(STATISTICS):
            transform.observe(row.row, clock.timed(READ, cells))
