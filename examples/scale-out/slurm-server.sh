#!/usr/bin/env bash
# Scheduler and server on one node of a cluster: a login node, or a job of its own.
# Workers come from slurm-workers.sh. Ctrl-C stops both; jobs go on at the next start.
#
#   bash slurm-server.sh SHARED LOCAL [HOST:PORT]
#
# SHARED     folder that all nodes see at the same path: demonstrations, key, certificate
# LOCAL      folder on a disk of this node: the database, which a network file system can damage
# HOST:PORT  where the compute nodes reach this one; its host name and port 8786 unless given
set -euo pipefail
umask 077
shared=$(realpath "${1:?"Usage: bash slurm-server.sh SHARED LOCAL [HOST:PORT]"}")
local=$(realpath "${2:?"Usage: bash slurm-server.sh SHARED LOCAL [HOST:PORT]"}")
address=${3:-$(hostname):8786}
mkdir -p "$shared/data" "$local"
database=$shared/data/r2rise.sqlite
[ -e "$database" ] || [ -L "$database" ] || ln -s "$local/r2rise.sqlite" "$database"

if [ ! -f "$shared/cluster_key" ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
    -subj /CN=r2rise-cluster -keyout "$shared/cluster_key" -out "$shared/cluster_certificate"
fi
if [ ! -f "$shared/first_key" ]; then  # others on this node can reach 127.0.0.1 too
  echo "r2k_$(openssl rand -hex 32)" > "$shared/first_key"
fi

export DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=18
dask scheduler --protocol tls --host "${address%:*}" --port "${address##*:}" \
  --tls-ca-file "$shared/cluster_certificate" --tls-cert "$shared/cluster_certificate" \
  --tls-key "$shared/cluster_key" --no-dashboard --dashboard-address 127.0.0.1:0 &
scheduler=$!
trap 'kill "$scheduler" 2> /dev/null || true; wait "$scheduler" || true' EXIT
echo "tls://$address" > "$shared/scheduler"

R2RISE_FIRST_KEY_FILE=$shared/first_key r2rise serve --data "$shared/data" \
  --scheduler "tls://$address" \
  --tls-ca "$shared/cluster_certificate" --tls-cert "$shared/cluster_certificate" \
  --tls-key "$shared/cluster_key"
