"""Options that ask for a study, shared by the commands that start one."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from r2rise import Study

Demos = Annotated[
    Path,
    typer.Argument(metavar="DEMOS", help="Demonstrations: .npz, or what `r2rise convert` reads."),
]
Format = Annotated[
    str | None,
    typer.Option(
        help="Format of what is read, if it cannot be told: npz, csv, robomimic, d4rl, minari or "
        "imitation."
    ),
]
Env = Annotated[str | None, typer.Option(help="Gymnasium id, module:Env-v0 or module:factory.")]
Algorithm = Annotated[str | None, typer.Option(help="Installed algorithm, or module:object.")]
Goals = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GOAL", help="Stop at reliability=0.9, or at verdicts for all; repeatable."
    ),
]
MaxTime = Annotated[str | None, typer.Option(help="Time to work at most: 90, 90s, 5m or 2h.")]
SegmentLength = Annotated[str | None, typer.Option(help="Frames masked together, 'all' or 'auto'.")]
OwnSegments = Annotated[
    Path | None, typer.Option(help="Your own segments: CSV of demonstration, start, stop.")
]
FrameStack = Annotated[
    int | None,
    typer.Option(
        help="Frames that one observation shows; those that show a masked one are left out, too."
    ),
]
ObsKeys = Annotated[str | None, typer.Option(help="Keys of a dict observation to use: a,b,c.")]
StudyFile = Annotated[
    Path | None, typer.Option(help="Study as YAML; the options here win over it.")
]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random.")]


def environment_fields(env: str | None, obs_keys: str | None) -> dict[str, Any]:
    """Return the fields of `study.environment` that options name."""
    return {"id": env, "obs_keys": listed(obs_keys)}


def listed(text: str | None) -> list[str] | None:
    """Return the parts of `a,b,c`, with or without spaces after the commas."""
    return [part.strip() for part in text.split(",")] if text else None


def until_fields(goals: Sequence[str], max_time: str | None) -> dict[str, Any]:
    """Return the fields of `study.until` that options name."""
    from r2rise_service.cli.durations import seconds

    fields: dict[str, Any] = {} if max_time is None else {"seconds": seconds(max_time)}
    for goal in goals:
        fields |= _goal(goal)
    return fields


def _goal(text: str) -> dict[str, Any]:
    from r2rise.errors import StudyError, suggestion

    name, _, value = text.partition("=")
    if text == "verdicts":
        return {"verdicts": True}
    if name == "reliability":
        with suppress(ValueError):
            return {"reliability": float(value)}
    known = ("reliability", "verdicts")
    hint = "" if name in known else f" {suggestion(name, known)}"
    raise StudyError(f"--until should be reliability=NUMBER or verdicts, got {text!r}.{hint}")


def masking_fields(
    segment_length: str | None, segments: Path | None, frame_stack: int | None
) -> dict[str, Any]:
    """Return the fields of `study.masking` that options name.

    Raises:
        StudyError: When they contradict each other, or the file of segments cannot be used.
    """
    stacked = {} if frame_stack is None else {"frame_stack": frame_stack}
    return _segment_fields(segment_length, segments) | stacked


def _segment_fields(segment_length: str | None, segments: Path | None) -> dict[str, Any]:
    from r2rise.data.segments import read_boundaries
    from r2rise.errors import StudyError

    if segments is not None:
        if segment_length is not None:
            raise StudyError("Give either --segment-length or --segments, not both.")
        return {"segment_length": None, "boundaries": read_boundaries(segments)}
    if segment_length in (None, "all", "auto"):
        return {"segment_length": segment_length, "boundaries": None} if segment_length else {}
    try:
        return {"segment_length": int(segment_length), "boundaries": None}
    except ValueError:
        raise StudyError(
            f"--segment-length should be a number of frames, 'all' or 'auto', got "
            f"{segment_length!r}."
        ) from None


def study_of(path: Path | None, options: dict[str, Any]) -> "Study":
    """Return the study of a file with the options that were given put over it.

    Raises:
        StudyError: Naming each wrong field, what was expected and what came.
    """
    from r2rise import Study
    from r2rise.errors import StudyError
    from r2rise.study.study import long_form, merged, read_yaml

    given = {name: _given(value) for name, value in options.items()}
    given = {name: value for name, value in given.items() if value not in (None, {})}
    saved = long_form(read_yaml(path)) if path else {}
    for part in given.keys() & saved.keys() & {"algorithm", "environment"}:
        saved[part] = {k: v for k, v in saved[part].items() if k != "identity"}  # of the old name
    fields = merged(saved, given)
    if "environment" not in fields:
        raise StudyError("Which environment? Give --env ID, or --study FILE with an environment.")
    return Study.parse(fields)


def _given(value: Any) -> Any:
    """Return the options that were given; `boundaries: None` and the like reset a study's own."""
    if not isinstance(value, dict) or "boundaries" in value:
        return value
    return {name: option for name, option in value.items() if option is not None}
