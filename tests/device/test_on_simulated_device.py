"""Runs the tests of this folder that need the simulated device, each file in its own process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from simulated_device import SETUP
from support import REPOSITORY

HERE = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.skipif(SETUP is None, reason="this torch has no hook for back ends in Python")
@pytest.mark.parametrize("file", sorted(path.name for path in HERE.glob("*_on_sim.py")))
def test_on_the_simulated_device(file):
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", HERE / file],
        cwd=REPOSITORY,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout
