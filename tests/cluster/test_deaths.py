"""Workers, schedulers and clients are killed, and workers leave in time."""

import os
import re
import subprocess
import sys

import pytest
from support import REPOSITORY

pytest.importorskip("distributed")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_results_survive_twenty_deaths_of_workers_schedulers_and_clients():
    script = REPOSITORY / "scripts/kill_cluster.py"
    command = [sys.executable, script, "--kills", "20", "--leave", "1", "--seed", "0"]
    run = subprocess.run(
        command, text=True, capture_output=True, timeout=900, env={**os.environ, "PYTHONPATH": ""}
    )
    assert run.returncode == 0, run.stdout + run.stderr
    killed = re.search(r"^20 kills in the middle of (\d+) runs: (.*)$", run.stdout, re.MULTILINE)
    assert int(killed[1]) >= 2  # of both normalizers
    killed = killed[2].split(", ")
    assert len(killed) == 20
    assert min(killed.count(whom) for whom in ("worker", "scheduler", "client")) >= 2
    assert "1 workers left at the end of their lifetime" in run.stdout
    assert "all results are those of one machine" in run.stdout
