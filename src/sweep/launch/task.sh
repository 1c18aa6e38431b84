#!/bin/bash
# A task of a sweep on Slurm: runs the command in its arguments, which takes trials of the shared folder until none is left, or,
# after all tasks, makes the tables. `runner sweep --launch slurm` wrote this file once and leaves it as it is from then on: load
# modules or start a container here. Options of --slurm win over those in the next lines.
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120

# How often the time limit, or a node that fails, may send a task back to the queue.
most_requeues=100

# TERM (scancel, preemption) reaches the program too, which stops at a checkpoint; this shell only has to live that long.
trap 'again=1' TERM
# Comes before the time limit, a minute early at times, and to this shell alone.
trap 'again=1 out_of_time=1; kill -TERM "$child" 2> /dev/null' USR1

"$@" & child=$!
[ -z "$out_of_time" ] || kill -TERM "$child"
# A signal ends a wait before the program has ended.
again=1
while [ -n "$again" ]; do
    again=
    wait "$child"
    code=$?
done

# 130: stopped at a checkpoint; 143: it had not begun to listen.
if [ -n "$out_of_time" ] && { [ "$code" = 130 ] || [ "$code" = 143 ]; } && [ -n "$SLURM_ARRAY_JOB_ID" ]; then
    if [ "${SLURM_RESTART_COUNT:-0}" -lt "$most_requeues" ]; then
        # Not $SLURM_JOB_ID: the last task's is the array's, and would send back every task.
        scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" && sleep 60
    else
        echo "out of time after $most_requeues returns to the queue; not sent back once more" >&2
    fi
fi
exit "$code"
