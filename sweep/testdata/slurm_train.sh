#!/bin/bash
# The runs of the sweep in /lab/sweeps/50% "drive"
# samtune sweep submit writes this file anew each time, from [engine.slurm] of the sweep's settings.
#SBATCH --job-name=samtune-train
#SBATCH --array=0,15-17%8
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --partition=gpu
#SBATCH --account=lab
#SBATCH --qos=long
#SBATCH --time=2:00:00
#SBATCH --mem=8G
#SBATCH --cpus-per-task=4
#SBATCH --gres=gpu:1
# One log for each task, over all its starts.
#SBATCH --output="/lab/sweeps/50%% \"drive\"/slurm/train_%A_%a.log"
#SBATCH --open-mode=append
# A task whose node is lost starts again on another one.
#SBATCH --requeue
# Two minutes before the time limit this script gets USR1.
#SBATCH --signal=B:USR1@120
# From engine.slurm.extra:
#SBATCH --constraint=a100
#SBATCH --exclude=node[3-4]

# From engine.slurm.setup:
module load cuda

restarts=${SLURM_RESTART_COUNT:-0}
echo "$(date +%FT%T) task $SLURM_ARRAY_TASK_ID on ${SLURMD_NODENAME:-$(hostname)}, start $((restarts + 1))"
/opt/samtune sweep run '/lab/sweeps/50% "drive"' --index "$SLURM_ARRAY_TASK_ID" &
samtune=$!

# Told to stop, samtune leaves a checkpoint after its current step. What scancel ends (TERM) stays ended.
cancelled=
trap 'kill -TERM "$samtune"' USR1
trap 'cancelled=yes; kill -TERM "$samtune"' TERM
until
  wait "$samtune" # a signal ends this wait before samtune ends
  code=$?
  ! kill -0 "$samtune" 2>/dev/null
do :; done

if [ "$code" -ne 0 ] && [ -z "$cancelled" ] && [ "$restarts" -lt 3 ]; then
  echo "$(date +%FT%T) task $SLURM_ARRAY_TASK_ID ended with exit code $code and starts again, of 3 times the number $((restarts + 1))"
  # By its number in the array: the job id of one of the tasks is that of the whole array.
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
fi
exit "$code"
