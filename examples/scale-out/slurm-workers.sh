#!/usr/bin/env bash
#SBATCH --job-name=r2rise-workers
#SBATCH --array=1-8
#SBATCH --cpus-per-task=16
#SBATCH --mem-per-cpu=2G
#SBATCH --time=04:00:00
#SBATCH --requeue
# Worker processes for slurm-server.sh, one for each core. They may come and go at any time:
# what a worker had begun is done again by another.
#
#   sbatch slurm-workers.sh SHARED
set -euo pipefail
shared=$(realpath "${1:?"Usage: sbatch slurm-workers.sh SHARED"}")

exec r2rise worker --scheduler "$(cat "$shared/scheduler")" --workers "$SLURM_CPUS_PER_TASK" \
  --tls-ca "$shared/cluster_certificate" --tls-cert "$shared/cluster_certificate" \
  --tls-key "$shared/cluster_key"
