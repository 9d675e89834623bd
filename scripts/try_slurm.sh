#!/usr/bin/env bash
# Tries --cluster with a real Slurm on this machine: Debian or Ubuntu, as root (or in a container).
#
# It installs slurmctld, slurmd and munge if they are missing, and sets up one machine with slots
# for two jobs in a folder of its own. Then it translates some slides alone; by jobs that uhrt
# submits (slurm:CONFIG), of which it cancels one; by workers of the sbatch file in configs/, of which
# it requeues one; and by such workers in jobs of a minute, which leave before their time is over, so
# that others go on. The results must be the same. Everything is stopped in the end.
#
#   scripts/try_slurm.sh            needs an environment with uhrtranslate[slurm]: $PYTHON
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$here/.venv/bin/python}
if ! command -v slurmctld slurmd munged >/dev/null; then
    apt-get update && apt-get install -y --no-install-recommends slurmctld slurmd slurm-client munge
fi
work=$(mktemp -d)
pids=()
finish() {
    scancel --quiet --state=RUNNING --user="$(id -un)" 2>/dev/null || true
    scancel --quiet --user="$(id -un)" 2>/dev/null || true
    sleep 2
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    [ -z "${KEEP:-}" ] && rm -rf "$work" || echo "kept $work"
}
trap finish EXIT
export SLURM_CONF=$work/slurm.conf PYTHONPATH=$here:$work OMP_NUM_THREADS=2  # as the jobs have
export PATH=$(dirname "$python"):$PATH
mkdir -p "$work/state" "$work/spool" /run/munge
chmod 755 "$work"

# Munge authenticates the daemons; one that runs already is used.
if ! munge -n </dev/null >/dev/null 2>&1; then
    [ -f /etc/munge/munge.key ] || mungekey --create
    chown -R munge: /etc/munge /run/munge
    runuser -u munge -- munged --foreground & pids+=($!)
    until munge -n </dev/null >/dev/null 2>&1; do sleep 0.2; done
fi
host=$(hostname -s)
cat > "$SLURM_CONF" <<CONF
ClusterName=uhrt
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
slurmctld -D & pids+=($!)
slurmd -D & pids+=($!)
for _ in $(seq 60); do
    [ "$(sinfo -h -o %t 2>/dev/null)" = idle ] && break
    sleep 1
done
sinfo

"$python" - "$work" "$here" <<'PY'
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2] + "/scripts")
import numpy as np
from kill_cluster import MODEL, make_slides
folder = Path(sys.argv[1])
(folder / "slow.py").write_text(MODEL.format(seconds=0.6))
make_slides(folder, 4, np.random.default_rng(0))
PY
cd "$work"
uhrt() {
    "$python" -P -m uhrtranslate translate slides --format tiff --model slow:make --cell 64 \
        --tile 128 --halo 8 --norm dn "$@"
}
same() {
    for file in alone/*.tif; do cmp "$file" "$1/$(basename "$file")"; done
    echo "== $1: the bytes are those of one machine, by $(grep -ho '"host": "[^"]*"' "$1/uhrt-run.json" | sort -u | tr '\n' ' ')"
}
running() { squeue -h -t RUNNING -o %i | head -1; }
uhrt -o alone --quiet

cat > slurm.yaml <<CONF
jobs: 2
hours: 1
memory: 1GB
cpus: 2
interface: lo
python: $python
CONF
echo "== Jobs that uhrt submits; one is cancelled"
uhrt -o jobs --cluster slurm:slurm.yaml --split 2 & run=$!
until [ -n "$(find jobs -name '*.tif' -o -name 'band-*' 2>/dev/null | head -1)" ]; do sleep 0.5; done
squeue
job=$(running) && scancel --signal=KILL --full "$job" && scancel "$job" && echo "cancelled $job"
wait $run
same jobs

echo "== Workers of the sbatch file; one is requeued"
"$python" -m distributed.cli.dask_scheduler --scheduler-file scheduler.json --host 127.0.0.1 \
    --port 0 --no-dashboard --dashboard-address 127.0.0.1:0 > scheduler.log 2>&1 & scheduler=$!
pids+=($scheduler)
until [ -f scheduler.json ]; do sleep 0.2; done
DASK_LOGGING__DISTRIBUTED=critical sbatch --array=1-2 --cpus-per-task=2 --time=60 \
    "$here/configs/cluster/workers.sbatch" scheduler.json
uhrt -o own --cluster scheduler-file:scheduler.json --split 2 & run=$!
until [ -n "$(find own -name '*.tif' -o -name 'band-*' 2>/dev/null | head -1)" ]; do sleep 0.5; done
squeue
job=$(running) && scontrol requeue "$job" && echo "requeued $job"
wait $run
same own

echo "== Jobs of a minute, two at a time; their workers leave before Slurm ends them"
scancel --state=RUNNING --user="$(id -un)" && scancel --user="$(id -un)"
mkdir brief && cd brief
DASK_LOGGING__DISTRIBUTED=info sbatch --array=1-20%2 --cpus-per-task=2 --time=1 \
    "$here/configs/cluster/workers.sbatch" "$work/scheduler.json"
cd "$work"
uhrt -o brief/out --cluster scheduler-file:scheduler.json --split 2
same brief/out
echo "$(grep -l 'worker-lifetime-reached' brief/worker-*.log | wc -l) workers left in time"
grep -q 'worker-lifetime-reached' brief/worker-*.log
! grep 'Time limit exhausted' slurmctld.log
