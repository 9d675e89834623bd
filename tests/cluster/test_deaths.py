"""Workers, schedulers and clients are killed; `scripts/kill_cluster.py` does it more often."""

import os
import subprocess
import sys

import pytest
from support import REPOSITORY

pytest.importorskip("distributed")


def test_results_survive_the_death_of_worker_scheduler_and_client():
    script = REPOSITORY / "scripts/kill_cluster.py"
    command = [sys.executable, script, "--kills", "3", "--within", "4", "--slow", "0.03"]
    run = subprocess.run(
        command, text=True, capture_output=True, timeout=600, env={**os.environ, "PYTHONPATH": ""}
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "all results are those of one machine" in run.stdout
