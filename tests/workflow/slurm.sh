#!/usr/bin/env bash
# The demo through a real Slurm: one node, a fake GPU, from Debian's packages.
# usage: tests/workflow/slurm.sh     in an environment with treset[slurm]; the table of what was seen is printed
# Its profiles are compared with those of the demo in this checkout (results/demo), which is run where it was not.
# Skipped, saying so, where it is not root or Slurm can neither be found nor installed. TRESET_SLURM=required makes that
# a failure. Everything it starts or writes is gone afterwards.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
CONF=/etc/slurm/slurm.conf
MARK="ClusterName=treset_test"
unset SLURM_CONF

skip() {
  echo "SKIPPED slurm test: $*"
  [ "${TRESET_SLURM:-}" = required ] && exit 1
  exit 0
}
[ "$(id -u)" = 0 ] || skip "it needs root to start Slurm's daemons"
if [ -e "$CONF" ] && ! grep -q "^$MARK" "$CONF"; then skip "this machine has a Slurm of its own ($CONF)"; fi
python -c "import treset, snakemake_executor_plugin_slurm" 2>/dev/null || skip "treset[slurm] is not installed"
if ! command -v slurmctld slurmd munged sbatch >/dev/null; then
  command -v apt-get >/dev/null || skip "no Slurm and no apt-get"
  { timeout 100 apt-get update -qq && DEBIAN_FRONTEND=noninteractive timeout 200 apt-get install -y -qq \
    --no-install-recommends slurmctld slurmd slurm-client munge; } >/dev/null 2>&1 ||
    skip "Slurm's packages cannot be installed"
fi

ROOT=$(mktemp -d)
chmod 755 "$ROOT"
down() {
  # what a run that was stopped left
  if grep -q "^$MARK" "$CONF" 2>/dev/null; then timeout 10 scancel --user=root 2>/dev/null || true; fi
  for daemon in slurmd slurmctld munged; do
    [ -s "$ROOT/$daemon.pid" ] && kill "$(cat "$ROOT/$daemon.pid")" 2>/dev/null || true
  done
  # their last words are written into the folder that is to go
  for _ in $(seq 50); do
    pgrep -f "$ROOT|^slurm(d|ctld) -" >/dev/null || break
    sleep 0.2
  done
  # a dead cluster would slow every later start of Snakemake
  if grep -q "^$MARK" "$CONF" 2>/dev/null; then rm -f "$CONF" /etc/slurm/gres.conf; fi
  if [ "${KEEP:-}" = "" ]; then rm -rf "$ROOT" || true; else echo "kept: $ROOT"; fi
}
trap down EXIT

mkdir -p /etc/slurm "$ROOT"/{state,spool,log,munge}
chmod 700 "$ROOT/munge"
HOST=$(hostname -s)
CPUS=$(nproc)
MEMORY=$(($(awk '/MemTotal/{print $2}' /proc/meminfo) / 1024 - 512))
getent hosts "$HOST" >/dev/null || echo "127.0.0.1 $HOST" >>/etc/hosts
# own key and own socket: a munge that runs on this machine is left alone
(umask 377 && head -c 1024 /dev/urandom >"$ROOT/munge/munge.key")
munged --key-file="$ROOT/munge/munge.key" --socket="$ROOT/munge.socket" --pid-file="$ROOT/munged.pid" \
  --log-file="$ROOT/munge/munged.log" --seed-file="$ROOT/munge/munged.seed" --num-threads=2 --force
# The config lies at the built-in path: every SLURM_* variable, SLURM_CONF too, is stripped before the inner srun.
# OverMemoryKill is what a site's cgroups do: a job above its request is killed.
cat >"$CONF" <<C
$MARK
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$ROOT/munge.socket
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$ROOT/state
SlurmdSpoolDir=$ROOT/spool
SlurmctldPidFile=$ROOT/slurmctld.pid
SlurmdPidFile=$ROOT/slurmd.pid
SlurmctldLogFile=$ROOT/log/slurmctld.log
SlurmdLogFile=$ROOT/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,bf_interval=1
ReturnToService=2
MinJobAge=7200
KillWait=2
MpiDefault=none
GresTypes=gpu
NodeName=$HOST NodeAddr=127.0.0.1 CPUs=$CPUS RealMemory=$MEMORY Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes=$HOST Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
PartitionName=gpu Nodes=$HOST MaxTime=INFINITE State=UP
C
# a GPU that is only counted, without a file, leaves the node invalid
echo "NodeName=$HOST Name=gpu File=/dev/null" >/etc/slurm/gres.conf
slurmctld -c -f "$CONF"
slurmd -f "$CONF"
for _ in $(seq 20); do
  timeout 3 sinfo -h -o %t 2>/dev/null | grep -q idle && break
  sleep 0.5
done
timeout 3 sinfo -h -o %t 2>/dev/null | grep -q idle ||
  skip "the node does not come up: $(grep -h fatal "$ROOT"/log/*.log | tail -n 1)"

# a copy: the demo of this checkout stays as it is
CHECKOUT=$(cd "$HERE/../.." && pwd)
mkdir "$ROOT/study"
cp -r "$CHECKOUT/config" "$ROOT/study/config"
PLAIN="$CHECKOUT/results/demo/profiles.parquet"
[ -s "$PLAIN" ] || python -m treset run "$CHECKOUT" >/dev/null
# The profile as it is shipped, but: status asked for often (the first check is after 40 s by default), the per-sample
# maps as one array instead of a group, and a first request of the cohort's job that is too small.
FIRST=120
# which GPUs of the node are taken, second by second
(while [ -d "$ROOT" ]; do
  timeout 5 sinfo -h -O "GresUsed:40" || true
  sleep 1
done) >"$ROOT/gpus.txt" 2>/dev/null &
WATCH=$!
set +e
timeout "${TRESET_SLURM_LIMIT:-2400}" python -m treset run "$ROOT/study" --profile slurm --cores "$CPUS" \
  --resources mem_mb="$MEMORY" --groups prepare=per_sample_prepare profiles=tables monitor=tables report=tables \
  --slurm-array-jobs map --slurm-init-seconds-before-status-checks 3 --latency-wait 20 \
  --set-resources "cohort:mem_mb=$FIRST if attempt == 1 else 2500" cohort:slurm_partition=gpu cohort:gpu=1 \
  >"$ROOT/run.log" 2>&1
CODE=$?
set -e
kill $WATCH
squeue --states=all --noheader --array --sort=i \
  -O "JobArrayID:|,State:|,Partition:|,NumCPUs:|,MinMemory:|,tres-per-job:|,Comment:|,TimeUsed:" >"$ROOT/squeue.txt"
[ $CODE = 0 ] || { cat "$ROOT/run.log"; find "$ROOT/study/results" -name '*.log' -exec tail -n 5 {} +; }
python "$HERE/slurm_study.py" "$ROOT/study" "$ROOT/squeue.txt" "$ROOT/run.log" "$ROOT/gpus.txt" $FIRST "$PLAIN"
exit $CODE
