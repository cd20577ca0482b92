"""Options that several commands share, and what they mean."""

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
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
ObsKeys = Annotated[str | None, typer.Option(help="Keys of a dict observation to use: a,b,c.")]
Retrainings = Annotated[int | None, typer.Option(help="Masks to retrain on.")]
Maps = Annotated[bool, typer.Option("--maps", help="Also see whether the map depends on training.")]
Directory = Annotated[
    Path, typer.Argument(metavar="DIR", help="Directory that `r2rise explain --out` wrote.")
]
Repetitions = Annotated[int, typer.Option(min=2, help="Training seeds to compare.")]
Workers = Annotated[int, typer.Option(min=0, help="Worker processes; 0: this one.")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are already there.")]


@dataclass(frozen=True)
class Learner:
    """Options of a study: what is trained, and where it acts."""

    env: Annotated[
        str | None, typer.Option(help="Gymnasium id, module:Env-v0 or module:factory.")
    ] = None
    algorithm: Annotated[
        str | None, typer.Option(help="Installed algorithm, or module:object.")
    ] = None


@dataclass(frozen=True)
class Goals:
    """Options of a study: when it has enough."""

    until: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GOAL", help="Stop at reliability=0.9, or at verdicts for all; repeatable."
        ),
    ] = None
    max_time: Annotated[
        str | None, typer.Option(help="Time to work at most: 90, 90s, 5m or 2h.")
    ] = None

    def until_fields(self) -> dict[str, Any]:
        """Return the fields of `study.until` that they name."""
        named: dict[str, Any] = {}
        if self.max_time is not None:
            named["seconds"] = seconds(self.max_time)
        for goal in self.until or ():
            named |= _goal(goal)
        return named


@dataclass(frozen=True)
class Frames:
    """Options of a study: what is masked, and what an observation is."""

    segment_length: Annotated[
        str | None, typer.Option(help="Frames masked together, 'all' or 'auto'.")
    ] = None
    segments: Annotated[
        Path | None, typer.Option(help="Your own segments: CSV of demonstration, start, stop.")
    ] = None
    frame_stack: Annotated[
        int | None,
        typer.Option(
            help="Frames that one observation shows; those that show a masked one are left out, "
            "too."
        ),
    ] = None
    obs_keys: ObsKeys = None

    def masking_fields(self) -> dict[str, Any]:
        """Return the fields of `study.masking` that they name.

        Raises:
            StudyError: When they contradict each other, or the file of segments cannot be used.
        """
        stacked = {} if self.frame_stack is None else {"frame_stack": self.frame_stack}
        return _segment_fields(self.segment_length, self.segments) | stacked


@dataclass(frozen=True)
class Base:
    """Options of a study: what the others are put over."""

    study: Annotated[
        Path | None, typer.Option(help="Study as YAML; the options here win over it.")
    ] = None
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None


def flat(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes the options of its groups, each in the place of its group.

    Args:
        command: Its parameters are for keywords only; those that are groups are annotated with
            one of the classes above.
    """
    signature = inspect.signature(command)
    groups: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        group = parameter.annotation
        if isinstance(group, type) and is_dataclass(group):
            groups[parameter.name] = group
            parameters += inspect.signature(group).parameters.values()
        else:
            parameters.append(parameter)
    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]

    @functools.wraps(command)
    def flattened(**options: Any) -> None:
        for name, group in groups.items():
            options[name] = group(**{one.name: options.pop(one.name) for one in fields(group)})
        command(**options)

    flattened.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    flattened.__annotations__ = {one.name: one.annotation for one in parameters}
    return flattened


def study_of(
    base: Base,
    learner: Learner,
    frames: Frames,
    goals: Goals | None = None,
    others: Mapping[str, Any] | None = None,
) -> "Study":
    """Return the study of a file with the options that were given put over it.

    Args:
        base: The file.
        learner: What is trained, and where it acts.
        frames: What is masked.
        goals: When it has enough, for commands that ask for that.
        others: Other parts of the study, by name.

    Raises:
        StudyError: Naming each wrong field, what was expected and what came.
    """
    from r2rise import Study
    from r2rise.errors import StudyError
    from r2rise.study.study import long_form, merged, read_yaml

    options: dict[str, Any] = {
        "environment": environment_fields(learner.env, frames.obs_keys),
        "algorithm": {"name": learner.algorithm},
        "masking": frames.masking_fields(),
        "until": goals.until_fields() if goals else {},
        "seed": base.seed,
        **(others or {}),
    }
    given = {name: _given(value) for name, value in options.items()}
    given = {name: value for name, value in given.items() if value not in (None, {})}
    saved = long_form(read_yaml(base.study)) if base.study else {}
    for part in given.keys() & saved.keys() & {"algorithm", "environment"}:
        saved[part] = {k: v for k, v in saved[part].items() if k != "identity"}  # of the old name
    asked = merged(saved, given)
    if "environment" not in asked:
        raise StudyError("Which environment? Give --env ID, or --study FILE with an environment.")
    return Study.parse(asked)


def environment_fields(env: str | None, obs_keys: str | None) -> dict[str, Any]:
    """Return the fields of `study.environment` that options name."""
    return {"id": env, "obs_keys": listed(obs_keys)}


def listed(text: str | None) -> list[str] | None:
    """Return the parts of `a,b,c`, with or without spaces after the commas."""
    return [part.strip() for part in text.split(",")] if text else None


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


def _given(value: Any) -> Any:
    """Return the options that were given; `boundaries: None` and the like reset a study's own."""
    if not isinstance(value, dict) or "boundaries" in value:
        return value
    return {name: option for name, option in value.items() if option is not None}


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
