#!/usr/bin/env bash
# Makes the environment and runs the tests; arguments go to pytest (as -m 'not slow').
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh
environment
# Tests run on one thread each, in as many processes as there are cores, four at most.
exec env OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto --maxprocesses 4 "$@"
