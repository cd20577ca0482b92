"""The examples of scaling out: they name what exists, and the scripts for SLURM run."""

import ast
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml
from deployment import ROOT, check_command, environment, last, make_secrets
from ports import free_port

from r2rise.run.engines.pool import DEATHS_ALLOWED, ISOLATED_TRIES
from r2rise_service import Client
from r2rise_service.settings import Settings

FOLDER = ROOT / "examples" / "scale-out"
MANIFESTS = list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text()))


def of_kind(kind: str) -> dict[str, Any]:
    return next(found for found in MANIFESTS if found["kind"] == kind)


CLUSTER = of_kind("DaskCluster")["spec"]
PODS = {
    "scheduler": CLUSTER["scheduler"]["spec"],
    "worker": CLUSTER["worker"]["spec"],
    "api": of_kind("Deployment")["spec"]["template"]["spec"],
}
CONTAINERS = [
    pytest.param(pod, container, id=container["name"])
    for pod in PODS.values()
    for container in [*pod.get("initContainers", ()), *pod["containers"]]
]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    return make_secrets(tmp_path_factory.mktemp("secrets"))


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_containers_run_commands_that_the_program_has(pod, container, secrets):
    words = [*container.get("command", last("ENTRYPOINT")), *container["args"]]
    check_command([word.replace("/run/secrets/r2rise", str(secrets)) for word in words])


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_containers_may_do_little_and_mount_what_exists(pod, container):
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert str(pod["securityContext"]["runAsUser"]) == last("USER")[0].split(":")[0]
    assert pod["enableServiceLinks"] is False  # R2RISE_..._PORT of a service is no setting
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    volumes = {volume["name"] for volume in pod["volumes"]}
    paths = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert set(paths.values()) <= volumes
    assert "/tmp" in paths
    if container["name"] != "scheduler":
        assert {"/data", "/cache"} <= set(paths)
        assert environment()["R2RISE_DATA"] in paths


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_variables_of_containers_are_settings(pod, container):
    variables = {variable["name"]: variable["value"] for variable in container.get("env", ())}
    if container["name"] == "scheduler":
        name = "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"
        assert variables == {name: str(DEATHS_ALLOWED * (1 + ISOLATED_TRIES))}
        return
    names = {name.removeprefix("R2RISE_").lower() for name in variables}
    assert names <= set(Settings.model_fields)


def test_files_of_secrets_are_those_that_make_secrets_makes(secrets):
    text = (FOLDER / "kubernetes.yaml").read_text()
    used = set(re.findall(r"/run/secrets/r2rise/(\w+)", text))
    assert used == {path.name for path in secrets.iterdir()}
    page = (ROOT / "docs" / "scale-out.md").read_text()
    assert set(re.findall(r"--from-file=secrets/(\w+)", page)) == used
    created = set(re.findall(r"kubectl create secret generic (\S+)", page))
    volumes = [volume for pod in PODS.values() for volume in pod["volumes"]]
    named = {volume["secret"]["secretName"] for volume in volumes if "secret" in volume}
    for volume in volumes:
        sources = volume.get("projected", {}).get("sources", ())
        named |= {source["secret"]["name"] for source in sources}
    assert named == created


def test_services_and_volumes_that_are_named_exist():
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in PODS.values()
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }
    claim = of_kind("PersistentVolumeClaim")
    assert claims == {claim["metadata"]["name"]}
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    name = of_kind("DaskCluster")["metadata"]["name"]
    for container in (PODS["worker"]["containers"][0], PODS["api"]["containers"][0]):
        assert f"--scheduler=tls://{name}-scheduler:8786" in container["args"]
    selector = CLUSTER["scheduler"]["service"]["selector"]
    assert selector == {"dask.org/cluster-name": name, "dask.org/component": "scheduler"}
    labels = of_kind("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert of_kind("Service")["spec"]["selector"] == labels


def test_the_program_for_dask_jobqueue_uses_the_clusters_options():
    tree = ast.parse((FOLDER / "slurm_jobqueue.py").read_text())
    calls = {
        node.func.id: {keyword.arg for keyword in node.keywords}
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    from distributed import Security

    assert calls["Security"] <= set(Security.__slots__)
    assert {"cores", "processes", "memory", "walltime", "security"} <= calls["SLURMCluster"]


@pytest.mark.slow
def test_the_scripts_for_slurm_start_a_server_and_workers_that_make_a_map(tmp_path):
    scheduler, api = free_port(), free_port()
    shared, address = tmp_path / "shared", f"127.0.0.1:{scheduler}"
    variables = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "R2RISE_PORT": str(api),
        "SLURM_CPUS_PER_TASK": "2",
    }
    commands = [
        ["bash", FOLDER / "slurm-server.sh", shared, tmp_path / "local", address],
        ["bash", FOLDER / "slurm-workers.sh", shared],
    ]
    log = (tmp_path / "log").open("a")
    started: list[subprocess.Popen[bytes]] = []
    with log:
        try:
            for command in commands:
                process = subprocess.Popen(
                    command, env=variables, stdout=log, stderr=log, start_new_session=True
                )
                started.append(process)
                wait_until((shared / "scheduler").exists, process, tmp_path / "log")
            url = f"http://127.0.0.1:{api}"
            wait_until(lambda: answers(f"{url}/api/v1/readyz"), started[0], tmp_path / "log")
            key = (shared / "first_key").read_text().strip()
            with Client(url=url, api_key=key) as client:
                dataset = client.datasets.upload(ROOT / "examples" / "cartpole.npz")
                job = client.jobs.create(
                    dataset,
                    environment="CartPole-v1",
                    retrainings=64,
                    study={"masking": {"segment_length": 10}},
                )
                assert len(job.wait(timeout=300).importance().importance) == 50
            assert [path for path in shared.iterdir() if path.stat().st_mode & 0o077] == []
            os.kill(started[1].pid, signal.SIGTERM)  # as SLURM does at the time limit
            os.killpg(started[0].pid, signal.SIGINT)  # as Ctrl-C does
            assert [process.wait(60) for process in started] == [0, 0]
        finally:
            for process in started:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def answers(url: str) -> bool:
    with suppress(OSError), urlopen(url, timeout=10) as answer:
        return bool(answer.status == 200)
    return False


def wait_until(
    condition: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path
) -> None:
    give_up = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < give_up, log.read_text()
        time.sleep(0.2)
