"""Times as they are given at the command line."""

import re

_TIME_PATTERN = re.compile(r"(\d+(?:\.\d+)?)\s*([smh]?)")
_SECONDS_BY_UNIT = {"": 1, "s": 1, "m": 60, "h": 3600}


def parse_seconds(text: str, option: str = "--max-time") -> float:
    """Return the seconds in a text such as `90`, `90s`, `5m` or `2h`.

    Raises:
        StudyError: When the text has another form, or the time is zero; it names the option.
    """
    from r2rise.errors import StudyError

    match = _TIME_PATTERN.fullmatch(text.strip())
    duration = float(match[1]) * _SECONDS_BY_UNIT[match[2]] if match else 0.0
    if duration <= 0:
        raise StudyError(f"{option} should be a time such as 90, 90s, 5m or 2h, got {text!r}.")
    return duration
