"""A cluster that has been reached."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Client, SpecCluster

# What servers of Dask may have become that are not there any more.
ENDED = ("closing", "closed", "failed")
# Crews that wait for workers to stop, and clusters that wait for them to end, by id: a second
# signal need not wait for that.
parting: set[int] = set()


@dataclass(frozen=True)
class Reached:
    """A client, and what keeps the cluster as large as it was asked to be.

    Attributes:
        client: connected to the scheduler.
        tend: called from time to time with the number of workers.
    """

    client: "Client"
    tend: Callable[[int], None] = lambda workers: None


def end(cluster: "SpecCluster", seconds: float) -> None:
    """Close a cluster that was started for a run, within some seconds.

    Dask would first say good-bye to a scheduler that has gone, and not be closed in time.
    """
    if cluster.scheduler.status.name in ENDED:
        cluster.shutdown_scheduler = False
    parting.add(id(cluster))
    with suppress(Exception):
        cluster.close(timeout=seconds)
    parting.discard(id(cluster))
