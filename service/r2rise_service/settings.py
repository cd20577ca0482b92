"""Settings of the server.

A setting comes from an argument, else from the environment variable `R2RISE_<NAME>`, else from its
default.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from r2rise.errors import InputError, suggestion
from r2rise.limits import most_workers

MEBIBYTE = 2**20
PREFIX = "R2RISE_"
_OTHER_VARIABLES = {"R2RISE_API_KEY", "R2RISE_CACHE", "R2RISE_URL"}
"""Variables that only the client and the library read."""


def _split_names(value: object) -> object:
    """Split names separated by commas, as a variable holds them; return other values unchanged."""
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return value


def _check_environment_ids(names: tuple[str, ...]) -> tuple[str, ...]:
    """Check that environments are named by plain ids.

    With other names, such as `module:id`, gymnasium would import a module.

    Raises:
        ValueError: When a name is not such an id.
    """
    for name in names:
        if not re.fullmatch(r"([\w-]+/)?[\w.-]*(-v\d+|\*)", name, re.ASCII):
            raise ValueError(f"expected ids such as CartPole-v1 or r2rise/*, not {name}")
    return names


def _matching(example: str, pattern: str) -> AfterValidator:
    """Return a validator that checks a text against a pattern, and names an example otherwise."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"expected something like {example}")
        return value

    return AfterValidator(check)


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_names)]
DatabaseUrl = Annotated[
    str, _matching("postgresql://user@host/name", r"postgresql(\+psycopg)?://[^/]+/.+")
]
SchedulerUrl = Annotated[str, _matching("tls://host:8786", r"(tcp|tls)://[^/]+:\d+")]


def _check_workers(workers: int) -> int:
    if workers > most_workers():
        raise ValueError(f"expected at most {most_workers()}, a few for each processor")
    return workers


class Settings(BaseSettings):
    """Settings of the server; `read` makes them, with readable errors.

    Attributes:
        data: Folder of the database, demonstrations and tokens.
        database: URL of a PostgreSQL database; None uses SQLite in `data`.
        database_password_file: File with the password of the database.
        host: Address to listen on; any other than loopback needs keys.
        hosts: Other names by which clients may call this server.
        port: Port to listen on; 0 takes any free one.
        workers: Worker processes of the embedded cluster.
        scheduler: Dask scheduler to use instead of an embedded cluster.
        tls_ca: Certificate of the authority that signed those of scheduler and workers.
        tls_cert: Certificate of the server, for the scheduler.
        tls_key: Private key of `tls_cert`.
        first_key_file: File with the secret of the first API key.
        keep_days: Days after which ended jobs are removed; None keeps them.
        environments: Ids of the environments that jobs may use; a final `*` stands for any text.
        max_upload_bytes: Limit of the size of an uploaded file.
        max_array_bytes: Limit of the total size of the arrays in it.
        max_retrainings: Limit of the retrainings of one job.
        max_steps: Limit of the environment steps of one job, counted as if no episode ended early.
        max_live_jobs: Limit of the live jobs of one owner.
        grace_seconds: Time allowed for shutting down.
        log_level: Lowest level of R2RISE's own messages in the log; other packages log warnings.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_ignore_empty=True
    )

    data: Path = Path("r2rise-data")
    database: DatabaseUrl | None = None
    database_password_file: Path | None = None
    host: str = "127.0.0.1"
    hosts: Names = ()
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    workers: Annotated[PositiveInt, AfterValidator(_check_workers)] = 2
    scheduler: SchedulerUrl | None = None
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    first_key_file: Path | None = None
    keep_days: PositiveFloat | None = None
    environments: Annotated[Names, AfterValidator(_check_environment_ids)] = (
        "CartPole-v1", "Pendulum-v1", "MountainCar-v0", "Hopper-v4", "r2rise/*",
    )  # fmt: skip
    max_upload_bytes: PositiveInt = 512 * MEBIBYTE
    max_array_bytes: PositiveInt = 2048 * MEBIBYTE
    max_retrainings: PositiveInt = 100_000
    max_steps: PositiveInt = 1_000_000_000
    max_live_jobs: PositiveInt = 100
    grace_seconds: PositiveFloat = 10.0
    log_level: Literal["debug", "info", "warning"] = "info"

    @classmethod
    def read(cls, **arguments: Any) -> Self:
        """Return the settings from arguments, environment variables and defaults.

        Args:
            arguments: Settings by name; None leaves a setting to the environment.

        Raises:
            InputError: When settings have wrong values; the message has a line for each.
        """
        arguments = {name: value for name, value in arguments.items() if value is not None}
        try:
            return cls(**arguments)
        except ValidationError as error:
            lines = [_describe_problem(dict(problem), arguments) for problem in error.errors()]
            raise InputError("\n".join(lines)) from None

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.database_password_file is not None and self.on_sqlite:
            raise ValueError("database_password_file needs a PostgreSQL URL in database")
        tls = (self.tls_ca, self.tls_cert, self.tls_key)
        if None in tls and set(tls) != {None}:
            raise ValueError("expected all of tls_ca, tls_cert and tls_key, or none")
        if (self.scheduler or "").startswith("tls:") and None in tls:
            raise ValueError(f"{self.scheduler} needs tls_ca, tls_cert and tls_key")
        return self

    @property
    def on_sqlite(self) -> bool:
        """Whether the database is a SQLite file, which only one process uses."""
        return self.database is None

    @property
    def database_url(self) -> str:
        """URL of the database, including its password.

        Raises:
            InputError: When the password file cannot be read.
        """
        if self.database is None:
            return f"sqlite:///{self.data / 'r2rise.sqlite'}"
        from sqlalchemy import make_url

        url = make_url(self.database).set(drivername="postgresql+psycopg")
        if self.database_password_file is not None:
            url = url.set(password=read_secret(self.database_password_file, "the database"))
        return url.render_as_string(hide_password=False)

    @property
    def datasets(self) -> Path:
        """Folder of the demonstrations; workers must see it at the same absolute path."""
        return self.data.absolute() / "datasets"


def unknown_variables() -> list[str]:
    """Return a warning for each variable with the prefix of settings that is not a setting."""
    known_names = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | _OTHER_VARIABLES
    return [
        f"{name} is not a setting and was ignored. {suggestion(name, known_names)}"
        for name in sorted(os.environ)
        if name.startswith(PREFIX) and name not in known_names
    ]


def read_secret(path: Path, purpose: str) -> str:
    """Return the secret in a file, without surrounding white space.

    Args:
        path: The file.
        purpose: What the secret is for, as errors name it.

    Raises:
        InputError: When the file cannot be read, or is empty.
    """
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read the secret of {purpose} in {path}: {error}") from None
    if not secret:
        raise InputError(f"Expected the secret of {purpose} in {path}, but the file is empty.")
    return secret


def _describe_problem(problem: dict[str, Any], arguments: dict[str, Any]) -> str:
    """Return an error message for a setting: its name, the expected value, and the given one."""
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return f"These settings cannot be used together: {message}. See `r2rise serve --help`."
    name = str(problem["loc"][0])
    variable = f"{PREFIX}{name.upper()}"
    where = f"{name} (or {variable})" if name in arguments else variable
    value = str(arguments.get(name, os.environ.get(variable)))
    value = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", value)  # a password in a URL
    return f"{where}: {message[:1].lower()}{message[1:]}, got {value!r}."
