"""Inspects an uploaded file in a child process with limited resources.

The file is untrusted. Whatever it does to the process that parses it, the server goes on.
"""

import contextlib
import json
import logging
import math
import os
import re
import resource
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from r2rise.data.checks import MAX_DEMONSTRATIONS
from r2rise.data.demonstrations import Demonstrations
from r2rise.errors import DemonstrationsError
from r2rise_service.storage.files import UNFINISHED_PREFIX

GIBIBYTE = 2**30
_NICE = 10
_DICT_OBSERVATION_MEMBER = r"obs\..+\.npy"

logger = logging.getLogger(__name__)


class BadUpload(Exception):
    """An uploaded file is not a usable demonstrations file; the message says why."""


@dataclass(frozen=True)
class UploadInfo:
    """Metadata of uploaded demonstrations.

    Attributes:
        sha256: `Demonstrations.content_hash`.
        lengths: Number of frames of each demonstration.
        obs_shape: Shape of one observation.
        act_shape: Shape of one action.
    """

    sha256: str
    lengths: tuple[int, ...]
    obs_shape: tuple[int, ...]
    act_shape: tuple[int, ...]


def inspect(
    path: Path, *, max_array_bytes: int, seconds: float = 60, max_memory: int = 8 * GIBIBYTE
) -> UploadInfo:
    """Parse an untrusted demonstrations file.

    Args:
        path: The file.
        max_array_bytes: Limit of the total size of all arrays; a file that declares more is not
            read.
        seconds: Limit of the time, wall clock and CPU.
        max_memory: Address space of the child in bytes. Large arrays are mapped as a whole, so this
            should be well above `max_array_bytes`.

    Raises:
        BadUpload: When the file cannot be used, or cannot be parsed within these limits.
    """
    # What the library unpacks is removed with this folder, even when the child is killed.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=UNFINISHED_PREFIX) as scratch:
        arguments = [str(path), str(max_array_bytes), str(seconds), str(max_memory)]
        try:
            child = subprocess.run(  # noqa: S603  (our own interpreter and module)
                [sys.executable, "-P", "-m", __name__, *arguments],
                env=_environment(scratch),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BadUpload(
                f"The file could not be read within {seconds:g} s: upload fewer demonstrations."
            ) from None
    return _read_info(child)


def _environment(scratch: str) -> dict[str, str]:
    """Return the environment variables of the child, without the secrets of the server."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "R2RISE_CACHE": scratch,
        "TMPDIR": scratch,
        "OPENBLAS_NUM_THREADS": "1",  # every thread uses address space
    }


def _read_info(child: subprocess.CompletedProcess[bytes]) -> UploadInfo:
    try:
        answer: dict[str, Any] = json.loads(child.stdout)
    except ValueError:
        logger.warning(
            "exit status %s: %s", child.returncode, child.stderr[-2000:].decode(errors="replace")
        )
        raise BadUpload(
            f"The file could not be read: the process that read it ended with status "
            f"{child.returncode}, perhaps for lack of memory or time. Upload fewer demonstrations."
        ) from None
    if "refused" in answer:
        raise BadUpload(answer["refused"])
    shapes = (tuple(answer[name]) for name in ("lengths", "obs_shape", "act_shape"))
    return UploadInfo(answer["sha256"], *shapes)


def main(path: str, max_array_bytes: str, seconds: str, max_memory: str) -> None:
    """Parse a file in the child process, and write the answer to stdout as JSON."""
    os.nice(_NICE)  # requests to the server go first
    _limit(resource.RLIMIT_AS, int(max_memory))
    _limit(resource.RLIMIT_CPU, math.ceil(float(seconds)))
    _limit(resource.RLIMIT_CORE, 0)
    try:
        answer = asdict(_parse(Path(path), int(max_array_bytes)))
    except (BadUpload, DemonstrationsError) as error:
        if isinstance(error.__context__, OSError):
            raise  # no memory or disk: only for the log, as the message names server folders
        answer = {"refused": _without_path(str(error), path)}
    except MemoryError:
        answer = {"refused": "The file needs too much memory: upload fewer demonstrations."}
    except (OSError, ImportError):  # no memory or disk, perhaps when importing a module
        raise
    except Exception as error:  # NumPy, zipfile and zlib raise errors of many types
        reason = str(error.args[0] if error.args else type(error).__name__)
        answer = {"refused": f"The file is damaged: {_without_path(reason, path)}."}
    sys.stdout.write(json.dumps(answer))


def _without_path(text: str, path: str) -> str:
    """Return a message without the path that the file has on the server."""
    return text.replace(f" {path}", " the file").replace(path, "The file")


def _limit(resource_id: int, value: int) -> None:
    _, hard_limit = resource.getrlimit(resource_id)
    limit = value if hard_limit == resource.RLIM_INFINITY else min(value, hard_limit)
    resource.setrlimit(resource_id, (limit, limit))


def _parse(path: Path, max_array_bytes: int) -> UploadInfo:
    declared_bytes = 0
    with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        declared_bytes = sum(info.file_size for info in archive.infolist())
        _check_no_dict_observations(archive.namelist())
    if declared_bytes > max_array_bytes:
        raise BadUpload(
            f"The arrays of the file are {declared_bytes} bytes in all, expected at most "
            f"{max_array_bytes}: upload fewer demonstrations."
        )
    demonstrations = Demonstrations.load(path)
    if len(demonstrations) > MAX_DEMONSTRATIONS:
        raise BadUpload(
            f"The file holds {len(demonstrations)} demonstrations, expected at most "
            f"{MAX_DEMONSTRATIONS}: upload fewer."
        )
    return UploadInfo(
        demonstrations.content_hash,
        tuple(demonstrations.lengths.tolist()),
        demonstrations.obs.shape[1:],
        demonstrations.acts.shape[1:],
    )


def _check_no_dict_observations(names: list[str]) -> None:
    """Check that observations are one array, by whose hash a dataset is identified.

    Raises:
        BadUpload: When they are dicts.
    """
    keys = [
        name[len("obs.") : -len(".npy")]
        for name in names
        if re.fullmatch(_DICT_OBSERVATION_MEMBER, name)
    ]
    if keys and "obs.npy" not in names:
        raise BadUpload(
            f"The file holds dict observations ({', '.join(sorted(keys)[:20])}): upload them "
            f"concatenated, as the array obs. `r2rise datasets upload --obs-keys` does that; "
            f"environment.obs_keys of the study names the same keys for the environment."
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
