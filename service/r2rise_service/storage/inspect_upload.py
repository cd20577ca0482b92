"""Looking into an uploaded file, in a child process under limits.

The file comes from anybody. Whatever it does to the process that parses it, the server goes on.
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

from r2rise.data.demonstrations import Demonstrations
from r2rise.errors import DemonstrationsError
from r2rise_service.storage.files import UNFINISHED

GIBIBYTE = 2**30
MOST_DEMONSTRATIONS = 100_000
"""Demonstrations in one file; every answer about a dataset lists their lengths."""

_NICE = 10
_DICT_PART = r"obs\..+\.npy"

logger = logging.getLogger(__name__)


class BadUpload(Exception):
    """An uploaded file is no usable demonstrations file; the text says why."""


@dataclass(frozen=True)
class Facts:
    """What is to be known of demonstrations.

    Attributes:
        sha256: `Demonstrations.content_hash`.
        lengths: Frames of each demonstration.
        obs_shape: Shape of one observation.
        act_shape: Shape of one action.
    """

    sha256: str
    lengths: tuple[int, ...]
    obs_shape: tuple[int, ...]
    act_shape: tuple[int, ...]


def inspect(
    path: Path, *, max_array_bytes: int, seconds: float = 60, max_memory: int = 8 * GIBIBYTE
) -> Facts:
    """Parse an untrusted demonstrations file.

    Args:
        path: The file.
        max_array_bytes: How large all arrays may be; a file that claims more is not read.
        seconds: How long it may take.
        max_memory: Address space of the child, bytes. Large arrays are mapped as a whole, so this
            should be well above `max_array_bytes`.

    Raises:
        BadUpload: When it cannot be used, or cannot be parsed within these limits.
    """
    # What the library unpacks goes with the folder, even when the child is killed.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=UNFINISHED) as scratch:
        arguments = [str(path), str(max_array_bytes), str(seconds), str(max_memory)]
        try:
            child = subprocess.run(  # noqa: S603  (our own interpreter and module)
                [sys.executable, "-m", __name__, *arguments],
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
    return _facts(child)


def _environment(scratch: str) -> dict[str, str]:
    """Return the variables that the child needs; secrets of the server are none of them."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "R2RISE_CACHE": scratch,
        "TMPDIR": scratch,
        "OPENBLAS_NUM_THREADS": "1",  # every thread takes address space
    }


def _facts(child: subprocess.CompletedProcess[bytes]) -> Facts:
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
    return Facts(answer["sha256"], *shapes)


def main(path: str, max_array_bytes: str, seconds: str, max_memory: str) -> None:
    """Parse a file, as the child; the answer is JSON on stdout."""
    os.nice(_NICE)  # requests go first
    _limit(resource.RLIMIT_AS, int(max_memory))
    _limit(resource.RLIMIT_CPU, math.ceil(float(seconds)))
    _limit(resource.RLIMIT_CORE, 0)
    try:
        answer = asdict(_parse(Path(path), int(max_array_bytes)))
    except (BadUpload, DemonstrationsError) as error:
        if isinstance(error.__context__, OSError):
            raise  # no memory or no disk: for the log, as it names the server's folders
        answer = {"refused": _named(str(error), path)}
    except MemoryError:
        answer = {"refused": "The file needs too much memory: upload fewer demonstrations."}
    except (OSError, ImportError):  # no memory or no disk, even for a module
        raise
    except Exception as error:  # NumPy, zipfile and zlib each raise their own on damaged files
        reason = str(error.args[0] if error.args else type(error).__name__)
        answer = {"refused": f"The file is damaged: {_named(reason, path)}."}
    sys.stdout.write(json.dumps(answer))


def _named(text: str, path: str) -> str:
    """Return a message without the name that the file has on the server."""
    return text.replace(f" {path}", " the file").replace(path, "The file")


def _limit(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (most, most))


def _parse(path: Path, max_array_bytes: int) -> Facts:
    claimed = 0
    with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        claimed = sum(info.file_size for info in archive.infolist())
        _refuse_dicts(archive.namelist())
    if claimed > max_array_bytes:
        raise BadUpload(
            f"The arrays of the file are {claimed} bytes in all, expected at most "
            f"{max_array_bytes}: upload fewer demonstrations."
        )
    demonstrations = Demonstrations.load(path)
    if len(demonstrations) > MOST_DEMONSTRATIONS:
        raise BadUpload(
            f"The file holds {len(demonstrations)} demonstrations, expected at most "
            f"{MOST_DEMONSTRATIONS}: upload fewer."
        )
    return Facts(
        demonstrations.content_hash,
        tuple(demonstrations.lengths.tolist()),
        demonstrations.obs.shape[1:],
        demonstrations.acts.shape[1:],
    )


def _refuse_dicts(names: list[str]) -> None:
    """Refuse dict observations: a dataset is one array of observations, known by its hash."""
    keys = [name[len("obs.") : -len(".npy")] for name in names if re.fullmatch(_DICT_PART, name)]
    if keys and "obs.npy" not in names:
        raise BadUpload(
            f"The file holds dict observations ({', '.join(sorted(keys)[:20])}): upload them "
            f"concatenated, as the array obs. `r2rise datasets upload --obs-keys` does that; "
            f"environment.obs_keys of the study names the same keys for the environment."
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
