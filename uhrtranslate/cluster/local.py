"""Workers on this machine, started for one run: one for each GPU, or several that share the cores.

They are reached by loopback alone, and end with this process however it ends.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import dask
import torch
from distributed import Client, Nanny, Scheduler, SpecCluster

from uhrtranslate.cluster.reached import ENDED, Reached, end
from uhrtranslate.errors import OptionError

HERE = "127.0.0.1"
# Seconds after which a worker that is missing is looked after.
GIVEN_UP = 10.0
# Libraries that would each start as many threads as there are cores.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# Ctrl-C in a terminal reaches workers too; the client tells them when to stop.
PRELOAD = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
SETTINGS = {
    # Deaths are counted by `Crew`.
    "distributed.scheduler.allowed-failures": 0,
    # Workers have children: files are tried in another process before OpenSlide opens them.
    "distributed.worker.daemon": False,
    # Nobody looks at what threads do, a hundred times a second.
    "distributed.worker.profile.enabled": False,
    # No pages, though a port opens, on loopback.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


@contextmanager
def started(workers: int, device: str) -> Iterator[Reached]:
    """A cluster of some workers on this machine, and a client of it; both end with the block.

    Raises:
        OptionError: there are fewer GPUs than workers.
    """
    pinned = _pins(workers, device)
    before = {
        # Dask's own would set one thread, and return freed memory to the system at once, which
        # takes as long as computing.
        **dict.fromkeys(_THREADS, _threads(workers)),
        "DASK_LOGGING__DISTRIBUTED": dask.config.get("logging.distributed", "info"),
    }
    with dask.config.set({**SETTINGS, "distributed.nanny.pre-spawn-environ": before}):
        spec = {
            number: {
                "cls": Nanny,
                "options": {
                    "host": HERE,
                    "nthreads": 1,
                    "memory_limit": 0,
                    "dashboard": False,
                    "env": pinned[number],
                    "preload": [PRELOAD],
                },
            }
            for number in range(workers)
        }
        scheduler = {
            "cls": Scheduler,
            "options": {
                "host": HERE,
                "port": 0,
                "dashboard": False,
                "dashboard_address": f"{HERE}:0",
            },
        }
        cluster = SpecCluster(spec, scheduler)
        try:
            client = Client(cluster, set_as_default=False)
            try:
                yield Reached(client, _Keeper(cluster, spec).look)
            finally:
                with suppress(Exception):
                    client.close(timeout=5)
        finally:
            end(cluster, 10)


def _cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _threads(workers: int) -> int:
    """Threads of each worker: its share of the cores, or fewer if the user has set that."""
    share = max(1, _cores() // workers)
    stated = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(stated)) if stated.isdigit() and int(stated) else share


def _pins(workers: int, device: str) -> list[dict[str, str]]:
    """The environment of each worker that shows it one GPU, before torch starts."""
    if device == "cpu" or not torch.cuda.is_available():
        return [{} for _ in range(workers)]
    stated = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = stated.split(",") if stated else [str(n) for n in range(torch.cuda.device_count())]
    if workers > len(names):
        raise OptionError(
            f"--cluster local:{workers}: this machine has {len(names)} GPUs, and each worker needs "
            f"one; use local:{len(names)}, or --device cpu."
        )
    return [{"CUDA_VISIBLE_DEVICES": names[number]} for number in range(workers)]


class _Keeper:
    """Starts workers again whose nanny has given up, as it does if they die while they start."""

    def __init__(self, cluster: SpecCluster, spec: dict[int, dict[str, Any]]) -> None:
        self._cluster, self._spec = cluster, spec
        self._whole = time.monotonic()  # when all workers were there

    def look(self, workers: int) -> None:
        """Called from time to time with the number of workers that are there."""
        if workers >= len(self._spec):
            self._whole = time.monotonic()
        if time.monotonic() < self._whole + GIVEN_UP:
            return
        self._whole = time.monotonic()
        there = self._cluster.workers
        lost = [n for n in self._spec if n not in there or there[n].status.name in ENDED]
        if lost:
            self._cluster.sync(self._cluster.scale_down, lost)
            self._cluster.worker_spec.update({number: self._spec[number] for number in lost})
            self._cluster.sync(self._cluster._correct_state)
