"""Samples as batches of tensors, read ahead by threads."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future

import numpy as np
import torch
from torch import Tensor

from uhrtranslate.threads import Workers, result_of
from uhrtranslate.training.data.patches import Sample

# Samples that are read ahead of the one in use, per thread.
AHEAD = 2


def batches(
    sample: Callable[[int], Sample], first: int, count: int, batch: int, workers: int
) -> Generator[dict[str, Tensor], None, None]:
    """Batches of consecutive samples, read ahead by threads.

    Args:
        sample: gives the sample of a number, as `Patches.sample` does.
        first: number of the first sample.
        count: batches.
        batch: samples in each.
        workers: threads.

    Yields: patches by domain, [batch, 3, p, p] float32 in -1..1.

    Raises:
        InputError: an image can no longer be read.
    """
    total = count * batch
    waiting: list[Future[Sample]] = []
    with Workers(workers, "uhrt-sample") as pool:
        asked = 0
        for _ in range(count):
            while asked < total and len(waiting) < batch + AHEAD * workers:
                waiting.append(pool.submit(sample, first + asked))
                asked += 1
            yield stacked([result_of(waiting.pop(0)) for _ in range(batch)])


def stacked(samples: Sequence[Sample]) -> dict[str, Tensor]:
    """Samples as one batch, [n, 3, p, p] by domain."""
    return {
        name: torch.from_numpy(np.stack([sample[name] for sample in samples]))
        for name in samples[0]
    }
