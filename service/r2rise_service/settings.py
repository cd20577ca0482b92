"""Settings of the server: what an operator decides."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MEBIBYTE = 2**20


class Settings(BaseModel):
    """Settings of the server.

    Attributes:
        data: Folder of the database, demonstrations and tokens.
        database: Database URL; SQLite in `data` unless given.
        host: Address that is listened on; anything but loopback needs keys.
        hosts: Other names by which clients may call this server.
        port: Port that is listened on.
        workers: Worker processes of the embedded cluster.
        environments: Ids of the environments that jobs may use; `*` at the end stands for any
            ending.
        max_upload_bytes: Size of an uploaded file.
        max_array_bytes: Size of all arrays in it.
        max_retrainings: Retrainings of one job.
        max_live_jobs: Live jobs of one owner.
        grace_seconds: Time for shutting down.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    database: str | None = None
    host: str = "127.0.0.1"
    hosts: tuple[str, ...] = ()
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    workers: Annotated[int, Field(ge=1)] = 2
    environments: tuple[str, ...] = (
        "CartPole-v1", "Pendulum-v1", "MountainCar-v0", "Acrobot-v1", "Hopper-v4", "r2rise/*",
    )  # fmt: skip
    max_upload_bytes: int = 512 * MEBIBYTE
    max_array_bytes: int = 2048 * MEBIBYTE
    max_retrainings: int = 100_000
    max_live_jobs: int = 100
    grace_seconds: float = 10.0

    @property
    def database_url(self) -> str:
        """URL of the database."""
        return self.database or f"sqlite:///{self.data / 'r2rise.sqlite'}"

    @property
    def datasets(self) -> Path:
        """Folder of the demonstrations, named by their content."""
        return self.data / "datasets"
