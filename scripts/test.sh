#!/usr/bin/env bash
# Makes the environment and runs the tests; arguments go to pytest (as -m 'not slow').
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh
environment
exec env OMP_NUM_THREADS=1 .venv/bin/python -m pytest "$@"
