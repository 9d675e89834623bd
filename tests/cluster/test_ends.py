"""Workers end when their scheduler has gone, whatever they are at; also with TLS, and as jobs."""

import os
import signal
import stat
import subprocess
import sys
import time

import pytest
from support import REPOSITORY

pytest.importorskip("distributed")
pytest.importorskip("cryptography")

from distributed import Client
from distributed.security import Security

PATIENCE = 300
# A worker whose threads wait for ever; its process waits for those of `concurrent.futures`.
STUCK = """
import threading
from concurrent.futures import ThreadPoolExecutor

from distributed import get_worker
from uhrtranslate.cluster import worker

worker.LEAVING = 0.5
worker._see_it_end(get_worker())
ThreadPoolExecutor(1).submit(threading.Event().wait)
open("stuck", "w").close()
threading.Event().wait()
"""


def test_workers_end_with_a_scheduler_that_speaks_tls(tmp_path):
    security = Security.temporary()
    files = {"ca-file": security.tls_ca_file}
    for name in ("scheduler", "worker", "client"):
        files[f"{name}-cert"] = getattr(security, f"tls_{name}_cert")
        files[f"{name}-key"] = getattr(security, f"tls_{name}_key")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    config = "distributed: {comm: {require-encryption: true, tls: {ca-file: %s" % (
        tmp_path / "ca-file"
    )
    for name in ("scheduler", "worker", "client"):
        config += f", {name}: {{cert: {tmp_path / name}-cert, key: {tmp_path / name}-key}}"
    (tmp_path / "dask.yaml").write_text(config + "}}}")
    environment = {
        **os.environ, "PYTHONPATH": str(REPOSITORY), "DASK_CONFIG": str(tmp_path / "dask.yaml"),
        "DASK_LOGGING__DISTRIBUTED": "critical",
    }  # fmt: skip
    file = tmp_path / "scheduler.json"

    def start(what, *arguments):
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--host", "127.0.0.1"]
        command += ["--no-dashboard", "--scheduler-file", str(file), *arguments]
        return subprocess.Popen(command, env=environment, cwd=tmp_path)

    scheduler = start(
        "scheduler", "--protocol", "tls", "--port", "0", "--dashboard-address", "127.0.0.1:0"
    )
    worker = start("worker", "--nthreads", "1", "--no-nanny", "--memory-limit", "0")
    try:
        wait_for(file.exists)
        with Client(scheduler_file=file, security=security, timeout=PATIENCE) as client:
            assert client.scheduler.address.startswith("tls://127.0.0.1")
            client.wait_for_workers(1, timeout=PATIENCE)
            client.submit(exec, STUCK, {"__name__": "stuck"})
            wait_for((tmp_path / "stuck").exists)
            scheduler.send_signal(signal.SIGKILL)
            assert worker.wait(PATIENCE) == 1
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()


def wait_for(what):
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform == "win32", reason="for Slurm")
@pytest.mark.parametrize(
    ("codes", "ends", "minutes"), [("137 139 0", 0, 480), ("137 1", 1, 60), ("0", 0, 10)]
)
def test_jobs_start_killed_workers_again_and_end_with_others(tmp_path, codes, ends, minutes):
    """Workers that find no scheduler exit with 1."""
    dask = 'echo "$@" >> calls; set -- CODES; shift $(($(wc -l < calls) - 1)); exit $1\n'
    for name, text in (("dask", dask.replace("CODES", codes)), ("sleep", "exit 0\n")):
        (tmp_path / name).write_text("#!/bin/sh\n" + text)
        (tmp_path / name).chmod(stat.S_IRWXU)
    run = subprocess.run(
        ["bash", str(REPOSITORY / "configs/cluster/workers.sbatch"), "scheduler.json"],
        cwd=tmp_path, timeout=PATIENCE,
        env={
            **os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
            "SLURM_JOB_END_TIME": str(int(time.time()) + 60 * minutes),
        },
    )  # fmt: skip
    assert run.returncode == ends
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == len(codes.split())
    assert all("--death-timeout" in call for call in calls)
    # Five minutes before the job's time is over, or a fifth of what it has left.
    lifetimes = [int(call.split("--lifetime ")[1].split("s ")[0]) for call in calls]
    early = 300 if minutes > 25 else minutes * 60 / 5
    assert all(0 <= minutes * 60 - early - one < PATIENCE for one in lifetimes)
