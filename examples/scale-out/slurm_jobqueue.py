"""A scheduler whose workers are SLURM jobs, as many as there is work for.

    pip install dask-jobqueue
    python slurm_jobqueue.py SHARED HOST PORT

It takes the place of `dask scheduler` in slurm-server.sh, and of slurm-workers.sh. SHARED is a
folder that all nodes see, with the files cluster_certificate and cluster_key.
"""

import signal
import sys
from contextlib import suppress
from pathlib import Path

import dask
from dask_jobqueue import SLURMCluster
from distributed import Security

CORES_OF_A_JOB = 16
JOBS_AT_MOST = 10


def main() -> None:
    """Run until Ctrl-C or SIGTERM; the jobs end with it."""
    shared, host, port = Path(sys.argv[1]).resolve(), sys.argv[2], int(sys.argv[3])
    certificate, key = str(shared / "cluster_certificate"), str(shared / "cluster_key")
    dask.config.set({"distributed.scheduler.allowed-failures": 18})
    security = Security(
        require_encryption=True,
        tls_ca_file=certificate,
        tls_client_cert=certificate,
        tls_client_key=key,
        tls_scheduler_cert=certificate,
        tls_scheduler_key=key,
        tls_worker_cert=certificate,
        tls_worker_key=key,
    )
    cluster = SLURMCluster(
        cores=CORES_OF_A_JOB,
        processes=CORES_OF_A_JOB,  # one thread in each: a shard at a time
        memory=f"{2 * CORES_OF_A_JOB}GB",
        walltime="04:00:00",
        security=security,
        scheduler_options={"host": host, "port": port, "dashboard_address": "127.0.0.1:0"},
        worker_extra_args=["--no-dashboard"],
        job_extra_directives=["--requeue"],
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), cluster:
        cluster.adapt(minimum_jobs=1, maximum_jobs=JOBS_AT_MOST)
        print(f"r2rise serve --scheduler {cluster.scheduler_address} ...", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
