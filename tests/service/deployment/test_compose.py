"""docker-compose.yml against the schema of Compose files, itself, and the program."""

import json
import re
import ssl

import pytest
from deployment import ROOT, argv, check_command, compose, environment, last, make_secrets
from jsonschema import Draft202012Validator
from places import DATA

from r2rise.run.engines.pool import DEATHS_ALLOWED, ISOLATED_TRIES
from r2rise_service.keys import PREFIX
from r2rise_service.settings import Settings

COMPOSE = compose()
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def seconds(duration: str) -> int:
    found = re.fullmatch(r"(\d+)s", duration)
    assert found, duration
    return int(found[1])


def test_it_is_a_compose_file():
    schema = json.loads((DATA / "compose-spec/compose-spec.json").read_text())
    Draft202012Validator.check_schema(schema)
    problems = [
        f"{problem.json_path}: {problem.message}"
        for problem in Draft202012Validator(schema).iter_errors(COMPOSE)
    ]
    assert not problems


@pytest.mark.parametrize("kind", ["secrets", "networks"])
def test_what_services_name_exists_and_what_exists_is_named(kind):
    named = {name for service in SERVICES.values() for name in service.get(kind, ())}
    assert named == set(COMPOSE[kind])


def test_volumes_that_services_name_exist_and_all_are_used():
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", ())]
    assert {mount.split(":")[0] for mount in mounts} == set(COMPOSE["volumes"])


def test_server_and_workers_see_the_data_at_the_same_path():
    assert "data:/data" in SERVICES["api"]["volumes"]
    assert "data:/data:ro" in SERVICES["worker"]["volumes"]
    assert "--data=/data" in SERVICES["api"]["command"]


@pytest.mark.parametrize("name", ["api", "worker"])
def test_compiled_loops_have_a_place_and_only_workers_share_theirs(name):
    service, place = SERVICES[name], environment()["NUMBA_CACHE_DIR"].rpartition("/")[0]
    shared = [mount for mount in service["volumes"] if mount.split(":")[1] == place]
    assert shared == (["cache:/cache"] if name == "worker" else [])
    assert shared or place in service["tmpfs"]


def test_a_service_waits_only_for_what_can_come():
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            condition = how["condition"]
            if condition == "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"], f"{name} waits for {other}"
            else:
                assert (condition, other) == ("service_completed_successfully", "migrate")


def test_nobody_opens_the_database_before_its_schema_is_the_newest():
    assert SERVICES["migrate"]["command"] == ["db", "upgrade"]
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name, service in SERVICES.items():
        if "R2RISE_DATABASE" in service.get("environment", {}) and name != "migrate":
            assert "migrate" in service["depends_on"], name


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    """Folder of what `make secrets` makes."""
    return make_secrets(tmp_path_factory.mktemp("secrets"))


@pytest.mark.parametrize("name", OURS)
def test_commands_are_ones_that_the_program_has(name, secrets):
    check_command([word.replace("/run/secrets", str(secrets)) for word in argv(OURS[name])])


def test_a_command_that_the_program_does_not_have_is_seen():
    with pytest.raises(KeyError):
        check_command(["r2rise", "serve-all"])
    with pytest.raises(Exception, match="No such option: --portal"):
        check_command(["r2rise", "serve", "--portal=8000"])


@pytest.mark.parametrize("name", OURS)
def test_variables_are_settings_with_values_that_they_take(name, monkeypatch):
    variables = {**environment(), **OURS[name].get("environment", {})}
    ours = {key: value for key, value in variables.items() if key.startswith("R2RISE_")}
    del ours["R2RISE_CACHE"]  # of the library
    assert {key.removeprefix("R2RISE_").lower() for key in ours} <= set(Settings.model_fields)
    fields = {key.removeprefix("R2RISE_").lower() for key, value in ours.items() if value}
    for key, value in ours.items():
        monkeypatch.setenv(key, value)
    found = Settings.read()
    assert {key: str(getattr(found, key)) for key in fields} == {
        key: ours[f"R2RISE_{key.upper()}"] for key in fields
    }


@pytest.mark.parametrize("name", SERVICES)
def test_secrets_are_read_where_they_are_mounted(name):
    service = SERVICES[name]
    mounted = {f"/run/secrets/{secret}" for secret in service["secrets"]}
    values = [*service.get("command", ()), *service.get("environment", {}).values()]
    assert {found for value in values for found in re.findall(r"/run/\S+", value)} == mounted


def test_make_secrets_makes_the_files_that_are_mounted(tmp_path):
    folder = make_secrets(tmp_path)
    files = {name: tmp_path / secret["file"] for name, secret in COMPOSE["secrets"].items()}
    assert set(files.values()) == set(folder.iterdir())
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o444}
    assert re.fullmatch(PREFIX + "[0-9a-f]{64}\n", files["first_key"].read_text())
    assert re.fullmatch("[0-9a-f]{64}\n", files["database_password"].read_text())
    context = ssl.create_default_context(cafile=files["cluster_certificate"])
    context.load_cert_chain(files["cluster_certificate"], files["cluster_key"])
    before = {name: path.read_text() for name, path in files.items()}
    make_secrets(tmp_path)
    assert {name: path.read_text() for name, path in files.items()} == before


def test_secrets_are_in_no_commit_and_in_no_image():
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert not any("secrets" in line for line in ignored if line.startswith("!"))


def test_only_the_api_is_published_on_loopback():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"api": ["127.0.0.1:8000:8000"]}
    assert "--port=8000" in SERVICES["api"]["command"]
    others = {name for service in SERVICES.values() for name in service["networks"]} - {"outside"}
    assert all(COMPOSE["networks"][name]["internal"] for name in others)
    assert [name for name in SERVICES if "outside" in SERVICES[name]["networks"]] == ["api"]


@pytest.mark.parametrize("name", SERVICES)
def test_services_may_do_little(name):
    service = SERVICES[name]
    user = str(service.get("user", last("USER")[0])).split(":")[0]
    assert user not in {"root", "0"}
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"privileged", "cap_add", "network_mode", "pid"} & set(service)


def test_services_are_started_again_and_have_time_to_stop():
    assert {name for name in SERVICES if SERVICES[name]["restart"] != "unless-stopped"} == {
        "migrate"
    }
    grace = Settings.model_fields["grace_seconds"].default
    for service in OURS.values():
        assert seconds(service["stop_grace_period"]) > 2 * grace


def test_workers_can_be_scaled():
    assert not {"container_name", "ports", "hostname"} & set(SERVICES["worker"])


def test_the_scheduler_does_not_give_up_a_shard_before_the_pool_does():
    variables = SERVICES["scheduler"]["environment"]
    most = str(DEATHS_ALLOWED * (1 + ISOLATED_TRIES))
    assert variables == {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": most}


def test_images_of_others_have_versions():
    for service in SERVICES.values():
        if "build" not in service:
            assert re.fullmatch(r"[\w-]+:\d[\w.-]*", service["image"])
