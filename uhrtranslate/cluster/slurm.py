"""Workers that are jobs of Slurm, started by dask-jobqueue and replaced when they are lost."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

from dask_jobqueue import SLURMCluster
from distributed import Client
from distributed.security import Security
from pydantic import BaseModel, ConfigDict, Field

from uhrtranslate.cluster.reached import Reached, end
from uhrtranslate.errors import ClusterError
from uhrtranslate.options import read_config, validated

# Seconds before the end of its time at which a worker leaves; and between two looks for lost jobs.
LEAVE, LOOK = 300, 10


class SlurmOptions(BaseModel):
    """How jobs are submitted: a file of `configs/cluster/slurm.yaml`'s form.

    Attributes:
        jobs: how many; each is one worker.
        hours: that a job may run.
        memory: of a job, such as `32GB`.
        cpus: processor cores of a job.
        gpus: of a job; 0 computes on the CPU.
        queue, account: Slurm's partition and account.
        directives: more lines for `#SBATCH`.
        before: lines of shell before a worker starts, such as `module load`.
        folder: where all machines find certificates and logs.
        interface: the network on which jobs reach this machine, such as `ib0`.
        python: that workers run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    jobs: Annotated[int, Field(ge=1, le=10_000)]
    hours: Annotated[float, Field(gt=0)] = 8.0
    memory: str = "16GB"
    cpus: Annotated[int, Field(ge=1)] = 4
    gpus: Annotated[int, Field(ge=0, le=1)] = 0
    queue: str | None = None
    account: str | None = None
    directives: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    folder: Path = Path("uhrt-slurm")
    interface: str | None = None
    python: str | None = None


@contextmanager
def started(path: Path) -> Iterator[Reached]:
    """Jobs as a file describes them, and a client of them; both end with the block.

    Raises:
        OptionError: the file is wrong.
        ClusterError: jobs cannot be submitted.
    """
    options = validated(SlurmOptions, read_config(path))
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    minutes = round(options.hours * 60)
    seconds = max(60, minutes * 60 - LEAVE)
    extra = [f"--gres=gpu:{options.gpus}"] if options.gpus else []
    try:
        cluster = SLURMCluster(
            cores=1,
            processes=1,
            job_cpu=options.cpus,
            memory=options.memory,
            walltime=f"{minutes // 60:02}:{minutes % 60:02}:00",
            queue=options.queue,
            account=options.account,
            python=options.python,
            interface=options.interface,
            protocol="tls",
            security=Security.temporary(),
            shared_temp_directory=str(folder),
            log_directory=str(folder),
            job_extra_directives=[*extra, *options.directives],
            job_script_prologue=[f"export OMP_NUM_THREADS={options.cpus}", *options.before],
            # Without a nanny, a worker that dies ends its job, which is replaced; and its
            # environment is this one.
            nanny=False,
            worker_extra_args=["--lifetime", f"{seconds}s", "--lifetime-stagger", "60s"],
            scheduler_options={"dashboard": False, "dashboard_address": ":0"},
        )
    except Exception as error:  # of many kinds
        raise ClusterError(f"{path}: the cluster cannot be started ({error}).") from error
    try:
        try:
            cluster.scale(jobs=options.jobs)
            cluster.sync(cluster._correct_state)  # raises what sbatch says
            client = Client(cluster, set_as_default=False)
        except Exception as error:
            lines = [line for line in str(error).splitlines() if line.startswith("sbatch")]
            why = lines[-1] if lines else str(error)
            raise ClusterError(f"{path}: jobs cannot be submitted ({why}).") from error
        try:
            yield Reached(client, _Keeper(cluster, options.jobs).look)
        finally:
            with suppress(Exception):
                client.close(timeout=5)
    finally:
        end(cluster, 20)


class _Keeper:
    """Has lost jobs submitted again, which dask-jobqueue does not do by itself."""

    def __init__(self, cluster: SLURMCluster, jobs: int) -> None:
        self._cluster, self._jobs = cluster, jobs
        self._next = time.monotonic() + LOOK
        self._seen: set[str] = set()  # jobs that have become workers

    def look(self, workers: int) -> None:
        """Called from time to time with the number of workers that are there."""
        cluster = self._cluster
        observed = set(cluster.observed)
        self._seen |= observed
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOOK
        # Jobs that still wait in the queue keep their places.
        lost = [name for name in self._seen - observed if name in cluster.worker_spec]
        if lost:
            self._seen -= set(lost)
            cluster.sync(cluster.scale_down, lost)
            cluster.scale(jobs=self._jobs)
