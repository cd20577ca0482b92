"""Settings of the server: what an operator decides.

Each one is an argument, else the environment variable `R2RISE_<NAME>`, else its default.
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

MEBIBYTE = 2**20
PREFIX = "R2RISE_"
_OF_OTHERS = {"R2RISE_API_KEY", "R2RISE_CACHE", "R2RISE_URL"}
"""Variables that the client and the library read."""


def _listed(value: object) -> object:
    """Return the names of a list with commas, which is how a variable holds one."""
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return value


def _patterns(names: tuple[str, ...]) -> tuple[str, ...]:
    """Check that environments are named by ids: others would make gymnasium import a module."""
    for name in names:
        if not re.fullmatch(r"([\w-]+/)?[\w.-]*(-v\d+|\*)", name, re.ASCII):
            raise ValueError(f"expected ids such as CartPole-v1 or r2rise/*, not {name}")
    return names


def _like(example: str, pattern: str) -> AfterValidator:
    """Return a check that says what a text should look like."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"expected something like {example}")
        return value

    return AfterValidator(check)


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
DatabaseUrl = Annotated[
    str, _like("postgresql://user@host/name", r"postgresql(\+psycopg)?://[^/]+/.+")
]
SchedulerUrl = Annotated[str, _like("tls://host:8786", r"(tcp|tls)://[^/]+:\d+")]


class Settings(BaseSettings):
    """Settings of the server; `read` reports what is wrong with them.

    Attributes:
        data: Folder of the database, demonstrations and tokens.
        database: URL of a PostgreSQL database; SQLite in `data` unless given.
        database_password_file: File that holds the password of the database.
        host: Address that is listened on; anything but loopback needs keys.
        hosts: Other names by which clients may call this server.
        port: Port that is listened on; 0 takes any free one.
        workers: Worker processes of the embedded cluster.
        scheduler: Dask scheduler to use instead of an embedded cluster.
        tls_ca: Certificate of who signed those of scheduler and workers.
        tls_cert: Certificate that is shown to the scheduler.
        tls_key: Private key of `tls_cert`.
        first_key_file: File with the secret of the first API key.
        keep_days: Days after which ended jobs are removed; None keeps them.
        environments: Ids of the environments that jobs may use; `*` at the end stands for any
            ending.
        max_upload_bytes: Size of an uploaded file.
        max_array_bytes: Size of all arrays in it.
        max_retrainings: Retrainings of one job.
        max_steps: Environment steps of one job, if no episode ended before its limit.
        max_live_jobs: Live jobs of one owner.
        grace_seconds: Time for shutting down.
        log_level: What of our own is logged; of other packages, warnings are.
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
    workers: PositiveInt = 2
    scheduler: SchedulerUrl | None = None
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    first_key_file: Path | None = None
    keep_days: PositiveFloat | None = None
    environments: Annotated[Names, AfterValidator(_patterns)] = (
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
    def read(cls, **given: Any) -> Self:
        """Return the settings of arguments, environment variables and defaults.

        Args:
            given: Arguments by name; None leaves one to the environment.

        Raises:
            InputError: When one has a wrong value; says what was expected, and where.
        """
        arguments = {name: value for name, value in given.items() if value is not None}
        try:
            return cls(**arguments)
        except ValidationError as error:
            lines = [_in_words(dict(problem), arguments) for problem in error.errors()]
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
        """Whether the database is a file, which one process has for itself."""
        return self.database is None

    @property
    def database_url(self) -> str:
        """URL of the database, with its password.

        Raises:
            InputError: When the file of the password cannot be read.
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
        """Folder of the demonstrations, named by their content; workers know it by this path."""
        return self.data.absolute() / "datasets"


def unknown_variables() -> list[str]:
    """Return what is wrong with each variable that looks like a setting and is none."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | _OF_OTHERS
    return [
        f"{name} is no setting and was ignored. {suggestion(name, known)}"
        for name in sorted(os.environ)
        if name.startswith(PREFIX) and name not in known
    ]


def read_secret(path: Path, purpose: str) -> str:
    """Return what a file of a secret holds, without the end of the line.

    Raises:
        InputError: When it cannot be read, or is empty.
    """
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read the secret of {purpose} in {path}: {error}") from None
    if not secret:
        raise InputError(f"Expected the secret of {purpose} in {path}, but the file is empty.")
    return secret


def _in_words(problem: dict[str, Any], arguments: dict[str, Any]) -> str:
    """Return what is wrong with a setting: where it came from, what was expected, what came."""
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return f"Settings that do not go together: {message}. See `r2rise serve --help`."
    name = str(problem["loc"][0])
    variable = f"{PREFIX}{name.upper()}"
    where = f"{name} (or {variable})" if name in arguments else variable
    came = str(arguments.get(name, os.environ.get(variable)))
    came = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", came)  # a password in a URL
    return f"{where}: {message[:1].lower()}{message[1:]}, got {came!r}."
