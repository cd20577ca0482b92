"""Settings of the server: arguments, environment variables, defaults, and what is wrong."""

import os
import re
from pathlib import Path

import pytest
from places import ROOT
from pydantic_core import PydanticUndefined
from typer.testing import CliRunner

from r2rise.errors import InputError
from r2rise_service.cli import app
from r2rise_service.settings import Settings, read_secret, unknown_variables


def test_arguments_come_before_the_environment_and_that_before_defaults(monkeypatch):
    monkeypatch.setenv("R2RISE_PORT", "9000")
    monkeypatch.setenv("R2RISE_WORKERS", "7")
    monkeypatch.setenv("R2RISE_DATA", "/srv/r2rise")
    monkeypatch.setenv("R2RISE_KEEP_DAYS", "")  # as if it were not there
    found = Settings.read(workers=3, host=None)
    assert (found.port, found.workers, found.host) == (9000, 3, "127.0.0.1")
    assert (found.data, found.keep_days) == (Path("/srv/r2rise"), None)
    assert found.database_url == "sqlite:////srv/r2rise/r2rise.sqlite"


def test_workers_on_other_machines_know_demonstrations_by_a_whole_path():
    assert Settings.read(data="here").datasets == Path.cwd() / "here" / "datasets"


def test_lists_are_names_with_commas(monkeypatch):
    monkeypatch.setenv("R2RISE_HOSTS", "gpu.example, 10.0.0.1")
    monkeypatch.setenv("R2RISE_ENVIRONMENTS", "CartPole-v1")
    found = Settings.read()
    assert found.hosts == ("gpu.example", "10.0.0.1")
    assert found.environments == ("CartPole-v1",)
    assert Settings.read(hosts=["a"]).hosts == ("a",)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("port", "99999", "less than or equal to 65535, got '99999'"),
        ("workers", "many", "valid integer"),
        ("workers", "0", "greater than 0"),
        ("database", "mysql://host/name", "expected something like postgresql://user@host/name"),
        ("scheduler", "host:8786", "expected something like tls://host:8786"),
        ("keep_days", "-1", "greater than 0"),
        ("max_steps", "0", "greater than 0"),
        ("environments", "robots:Arm-v0", r"expected ids such as CartPole-v1 or r2rise/\*"),
        ("environments", "CartPole", "expected ids such as CartPole-v1"),
    ],
)
def test_wrong_values_say_what_was_expected_what_came_and_where(monkeypatch, name, value, said):
    variable = f"R2RISE_{name.upper()}"
    with pytest.raises(InputError, match=rf"^{name} \(or {variable}\): .*{said}"):
        Settings.read(**{name: value})
    monkeypatch.setenv(variable, value)
    with pytest.raises(InputError, match=rf"^{variable}: .*{said}"):
        Settings.read()


def test_variables_that_are_no_settings_are_named(monkeypatch):
    for name in [name for name in os.environ if name.startswith("R2RISE_")]:
        monkeypatch.delenv(name)
    for name in ("R2RISE_PORT", "R2RISE_URL", "R2RISE_WORKRS"):
        monkeypatch.setenv(name, "1")
    assert unknown_variables() == [
        "R2RISE_WORKRS is not a setting and was ignored. Did you mean 'R2RISE_WORKERS'?"
    ]


def test_a_wrong_url_is_told_without_its_password():
    with pytest.raises(InputError, match=r"got 'mysql://me:\*\*\*@db/r2rise'\.$"):
        Settings.read(database="mysql://me:hush@db/r2rise")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tls_ca": "ca.pem"}, "all of tls_ca, tls_cert and tls_key"),
        ({"scheduler": "tls://gpu:8786"}, "needs tls_ca"),
        ({"database_password_file": "secret"}, "needs a PostgreSQL URL"),
    ],
)
def test_settings_that_do_not_go_together(given, said):
    with pytest.raises(InputError, match=said):
        Settings.read(**given)


def test_the_password_comes_from_its_file(tmp_path):
    path = tmp_path / "password"
    path.write_text("p@ss/word\n")
    url = "postgresql://r2rise@db:5432/r2rise"
    found = Settings.read(database=url, database_password_file=path)
    assert found.database_url == "postgresql+psycopg://r2rise:p%40ss%2Fword@db:5432/r2rise"
    assert "p@ss" not in repr(found)
    path.write_text("\n")
    with pytest.raises(InputError, match="the file is empty"):
        found.database_url  # noqa: B018
    with pytest.raises(InputError, match="Cannot read the secret of x in"):
        read_secret(tmp_path / "nothing", "x")


def test_the_docs_have_every_setting_with_its_option_and_default():
    page = (ROOT / "docs" / "service.md").read_text()
    rows = re.findall(r"^\| `R2RISE_(\w+)` \| (.*?) ?\| (.+?) \| (.+) \|$", page, re.MULTILINE)
    assert [row[0].lower() for row in rows] == list(Settings.model_fields)
    help_text = CliRunner().invoke(app, ["serve", "--help"]).output
    options = set(re.findall(r"^  (--[\w-]+)", help_text, re.MULTILINE)) - {"--help"}
    assert {option.strip("`") for _, option, _, _ in rows if option} == options
    for name, _, default, _ in rows:
        field = Settings.model_fields[name.lower()]
        assert field.default is not PydanticUndefined
        if field.default in (None, ()):
            assert "`" not in default, name
        else:
            found = ",".join(field.default) if isinstance(field.default, tuple) else field.default
            assert default == f"`{found}`", name


def test_the_environment_of_the_docs_is_the_one_that_is_read(monkeypatch):
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, int):
            monkeypatch.setenv(f"R2RISE_{name.upper()}", str(field.default + 1))
    found = Settings.read()
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, int):
            assert getattr(found, name) == field.default + 1
