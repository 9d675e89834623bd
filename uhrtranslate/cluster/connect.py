"""Reaching a cluster: one on this machine, one that is running, or jobs of Slurm."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from uhrtranslate.cluster.reached import Reached
from uhrtranslate.errors import ClusterError, OptionError, require
from uhrtranslate.options.clusters import Place, is_private, place_of

# Seconds to reach a scheduler; and in which one that has just been started writes its file.
PATIENCE, WRITING = 30, 10


@contextmanager
def connected(cluster: str, without_tls: bool, device: str) -> Iterator[Reached]:
    """Reach a cluster; one that was started for this run ends with the block.

    Args:
        cluster: as `--cluster` takes it.
        without_tls: accept schedulers on other machines that encrypt nothing.
        device: that workers are to use, for those that are started here.

    Raises:
        ClusterError: it cannot be reached.
        OptionError: it must not be reached so, or cannot be started.
        MissingExtraError: Dask is not installed.
    """
    place = place_of(cluster)
    dask = require("dask", "cluster")
    # Dask's own log is not for users; it is configured when distributed is imported first.
    if not logging.getLogger("uhrtranslate").isEnabledFor(logging.DEBUG):
        dask.config.set({"logging.distributed": "critical"})
        logging.getLogger("tornado").setLevel(logging.CRITICAL)
    require("distributed", "cluster")
    if place.kind == "local":
        from uhrtranslate.cluster.local import started

        with started(place.workers, device) as reached:
            yield reached
        return
    if place.kind == "slurm":
        require("dask_jobqueue", "slurm")
        from uhrtranslate.cluster.slurm import started as jobs

        with jobs(Path(place.where)) as reached:
            yield reached
        return
    with _running(place, without_tls) as reached:
        yield reached


@contextmanager
def _running(place: Place, without_tls: bool) -> Iterator[Reached]:
    """A client of a scheduler that runs already; it goes on running."""
    from distributed import Client

    address = place.where if place.kind == "address" else _address_in(Path(place.where))
    if not is_private(address) and not without_tls:
        raise OptionError(
            f"--cluster {address}: encrypts nothing, and whoever reaches its port can run programs "
            "as you; start scheduler and workers with TLS, or add --without-tls."
        )
    client = Client.__new__(Client)
    try:
        client.__init__(address, timeout=PATIENCE, set_as_default=False)
    except Exception as error:  # of many kinds, also of TLS
        client.status = "closed"  # else it would try for a minute to say good-bye
        why = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ClusterError(
            f"--cluster {address}: cannot be reached ({why}); check that its scheduler runs, and "
            "with TLS that Dask knows its certificates (docs/cluster.md)."
        ) from error
    try:
        yield Reached(client)
    finally:
        client.close(timeout=5)


def _address_in(path: Path) -> str:
    """The scheduler's address in the file that it writes.

    Raises:
        ClusterError: there is none.
    """
    end = time.monotonic() + WRITING
    while not path.exists() and path.parent.is_dir() and time.monotonic() < end:
        time.sleep(0.1)
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        return str(found["address"])
    except OSError as error:
        raise ClusterError(
            f"{path}: cannot be read ({error.strerror}); start a scheduler with "
            f"'dask scheduler --scheduler-file {path}'."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ClusterError(
            f"{path}: is no file of a Dask scheduler; name the one that "
            "'dask scheduler --scheduler-file' has written."
        ) from error
