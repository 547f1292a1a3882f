#!/bin/bash
# Ray inside one Slurm allocation, and the scheduler on its first node:
#
#   sbatch deploy/slurm.sh experiments.yaml
#
# Two minutes before the limit Slurm sends USR1: runs checkpoint and pause, the job puts itself into the queue again and goes on there.
# The working directory has to be on a file system that all nodes share; the database is a file in it that only the first node opens.

#SBATCH --job-name=scaling
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
# For GPUs add `#SBATCH --gpus-per-node=8`: Ray finds them, and `resources: {accelerator: A100, chips: 1}` in the file asks for them.

set -euo pipefail
file=${1:?usage: sbatch deploy/slurm.sh experiments.yaml}

export RAY_USAGE_STATS_ENABLED=0
export SCALING_HOME=${SCALING_HOME:-$PWD/scaling-runs}
export SCALING_DB=${SCALING_DB:-/tmp/scaling-$SLURM_JOB_ID.db}   # SQLite refuses network file systems

# The database comes from the job's folder and goes back to it, so that the next start finds it on whichever node it lands.
if [[ $SCALING_DB == /* && scaling.db -nt $SCALING_DB ]]; then
    rm -f "$SCALING_DB" "$SCALING_DB"-wal "$SCALING_DB"-shm
    cp scaling.db "$SCALING_DB"
fi
keep_database() {
    if [[ $SCALING_DB != /* || ! -f $SCALING_DB ]]; then return; fi
    python3 - "$SCALING_DB" <<'PYTHON'
import os, sqlite3, sys
with sqlite3.connect(sys.argv[1]) as live, sqlite3.connect("scaling.db.new") as copy:
    live.backup(copy)
os.replace("scaling.db.new", "scaling.db")
PYTHON
}

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}')
port=$((20000 + SLURM_JOB_ID % 20000))       # two jobs may share a node

# One step for all nodes; the first is the head. `--block` keeps Ray in the step, so it ends with the job.
srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --overlap bash -c '
    common=(--num-cpus="$SLURM_CPUS_PER_TASK" --object-store-memory=500000000 --disable-usage-stats --block)
    if [[ $SLURM_PROCID == 0 ]]; then
        exec ray start --head --port="$1" --include-dashboard=false "${common[@]}"
    fi
    until timeout 8 ray health-check --address "$0:$1"; do sleep 1; done
    exec ray start --address="$0:$1" "${common[@]}"' "$address" "$port" &
ray=$!
until timeout 8 ray health-check --address "$address:$port"; do sleep 1; done

scaling submit "$file" --address "$address:$port" --yes &
scheduler=$!
(while sleep 60; do keep_database || true; done) >/dev/null 2>&1 &    # a lost node costs a minute of bookkeeping, not all of it
keeper=$!

again=0
trap 'again=1; kill -TERM "$scheduler" 2>/dev/null || true' USR1 TERM
code=0
wait "$scheduler" || code=$?
while kill -0 "$scheduler" 2>/dev/null; do code=0; wait "$scheduler" || code=$?; done    # a signal ends `wait`, not the scheduler

kill "$keeper" 2>/dev/null || true
keep_database
kill "$ray" 2>/dev/null || true
if [[ $again == 1 ]]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$code"
