"""How long something takes, as a user writes and reads it."""

import re

_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*([smh]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


def seconds(text: str, option: str = "--max-time") -> float:
    """Return the seconds that `90`, `90s`, `5m` or `2h` stand for.

    Raises:
        StudyError: For another text, or for no time at all; it names the option.
    """
    from r2rise.errors import StudyError

    found = _TIME.fullmatch(text.strip())
    time = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if time <= 0:
        raise StudyError(f"{option} should be a time such as 90, 90s, 5m or 2h, got {text!r}.")
    return time
