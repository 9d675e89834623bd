"""Peak memory of a piece of work."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

PROCESS = Path("/proc/self")


@dataclass
class Peak:
    """Bytes at the peak, known after the work; None if the system does not tell.

    Attributes:
        process: resident memory of this process, including what earlier work left behind.
        gpu: memory allocated by torch on all GPUs together.
    """

    process: int | None = None
    gpu: int | None = None


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Measure the peak of the work in the block."""
    peak = Peak()
    fresh = False
    with suppress(OSError):  # not Linux, or not permitted
        (PROCESS / "clear_refs").write_text("5")
        fresh = True
    gpus = range(torch.cuda.device_count())
    for gpu in gpus:
        torch.cuda.reset_peak_memory_stats(gpu)
    try:
        yield peak
    finally:
        if fresh:
            peak.process = _high_water_mark()
        if gpus:
            peak.gpu = sum(torch.cuda.max_memory_allocated(gpu) for gpu in gpus)


def _high_water_mark() -> int | None:
    lines = (PROCESS / "status").read_text().splitlines()
    kilobytes = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kilobytes[0]) * 1024 if kilobytes else None
