#!/bin/bash
# Ray inside one Slurm allocation, and the scheduler on its first node:
#
#   sbatch deploy/slurm.sh experiments.yaml
#
# Two minutes before the limit Slurm sends USR1: runs checkpoint and pause, the job puts itself into the queue again and goes on there.
# The working directory has to be on a file system that all nodes share. The database is `scaling.db` in it: the first node works on a copy
# on its own disk and brings it back every minute and at the end. When that node dies, the job goes on from the last copy: at most the
# last minute is trained again. With SCALING_DB set, a PostgreSQL URL or a path, the database is there and nothing is copied.

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

# Who reaches an open Ray head runs any code as you, and on a cluster everybody reaches it. So Ray asks for a token, made for this job.
export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token
if [[ -z ${RAY_AUTH_TOKEN:-} && -z ${RAY_AUTH_TOKEN_PATH:-} ]]; then
    RAY_AUTH_TOKEN=$(python3 -c 'import secrets; print(secrets.token_hex(32))')
    export RAY_AUTH_TOKEN
fi
export SCALING_HOME=${SCALING_HOME:-$PWD/scaling-runs}
own_disk=
if [[ -z ${SCALING_DB:-} ]]; then
    own_disk=${TMPDIR:-/tmp}/scaling-$SLURM_JOB_ID.db          # SQLite refuses network file systems
    export SCALING_DB=$own_disk
    rm -f "$own_disk" "$own_disk"-wal "$own_disk"-shm          # of this job's last time on this node: the shared file is newer
    # For this user alone, and never through a link that somebody else has put there meanwhile.
    if [[ -f scaling.db ]]; then start=scaling.db; else start=/dev/null; fi
    (umask 077; set -o noclobber; cat "$start" > "$own_disk")
fi

# keep.py DATABASE SECONDS: a whole copy of it to ./scaling.db that often; with 0, once.
keep=$(cat <<'PYTHON'
import os, sqlite3, sys, time
from contextlib import closing
database, seconds, new = sys.argv[1], float(sys.argv[2]), "scaling.db.new"
while True:
    time.sleep(seconds)
    if os.path.exists(database) and os.path.getsize(database):
        try:
            if os.path.exists(new):
                os.remove(new)
            with closing(sqlite3.connect(database)) as live, closing(sqlite3.connect(new)) as copy:
                live.backup(copy)
            os.replace(new, "scaling.db")
        except (OSError, sqlite3.Error) as error:
            print(f"the database was not copied: {error}", file=sys.stderr)
            if not seconds:
                sys.exit(1)
    if not seconds:
        break
PYTHON
)

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}')
port=$((20000 + SLURM_JOB_ID % 20000))       # two jobs may share a node

echo "Ray at $address:$port asks for a token (RAY_AUTH_MODE=token); it is in the environment of this job's processes alone"

# One step for all nodes; the first is the head. `--block` keeps Ray in the step, so it ends with the job. All of the environment goes along,
# also where the job was submitted with `--export=NONE`: a head that lacks the token would be open.
srun --export=ALL --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --overlap bash -c '
    common=(--num-cpus="$SLURM_CPUS_PER_TASK" --object-store-memory=500000000 --disable-usage-stats --block)
    if [[ $SLURM_PROCID == 0 ]]; then
        exec ray start --head --port="$1" --include-dashboard=false "${common[@]}"
    fi
    until timeout 8 ray health-check --address "$0:$1"; do sleep 1; done
    exec ray start --address="$0:$1" "${common[@]}"' "$address" "$port" &
ray=$!
until timeout 8 ray health-check --address "$address:$port"; do sleep 1; done

again=0
scheduler=
trap 'again=1; if [[ -n $scheduler ]]; then kill -TERM "$scheduler" 2>/dev/null || true; fi' USR1 TERM
scaling submit "$file" --address "$address:$port" --yes &
scheduler=$!
if [[ $again == 1 ]]; then kill -TERM "$scheduler" 2>/dev/null || true; fi      # told before it was known whom to tell
keeper=
if [[ -n $own_disk ]]; then
    python3 -c "$keep" "$own_disk" "${SCALING_COPY_SECONDS:-60}" &
    keeper=$!
fi

code=0
wait "$scheduler" || code=$?
while kill -0 "$scheduler" 2>/dev/null; do code=0; wait "$scheduler" || code=$?; done    # a signal ends `wait`, not the scheduler

if [[ -n $own_disk ]]; then
    kill "$keeper" 2>/dev/null || true
    wait "$keeper" || true
    if python3 -c "$keep" "$own_disk" 0; then rm -f "$own_disk" "$own_disk"-wal "$own_disk"-shm; fi
fi
kill "$ray" 2>/dev/null || true
if [[ $again == 1 ]]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$code"
