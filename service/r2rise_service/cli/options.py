"""Options that several commands share, and their conversion to fields of a study."""

import functools
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from r2rise.limits import check_repetitions, check_workers
from r2rise.study.choices import EstimatorName
from r2rise_service.cli.times import parse_seconds

if TYPE_CHECKING:
    from r2rise import Study

Demos = Annotated[
    Path,
    typer.Argument(
        metavar="DEMOS", help="Demonstrations: .npz, or any format that `r2rise convert` reads."
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Format of the input, if it is not recognized; see docs/formats.md."
    ),
]
ObsKeys = Annotated[
    str | None,
    typer.Option(metavar="KEYS", help="Keys of dict observations to concatenate: a,b,c."),
]
ESTIMATORS = ", ".join(get_args(EstimatorName))
"""Names of the estimators, for help texts."""

Retrainings = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Number of masks to retrain on.",
        show_default="384; 20000 with --until or --max-time",
    ),
]
Maps = Annotated[
    bool,
    typer.Option("--maps", help="Also test whether the map depends on the amount of training."),
]
Directory = Annotated[
    Path, typer.Argument(metavar="DIR", help="Directory written by `r2rise explain --out`.")
]


def _checked(check: Callable[[int], None]) -> Callable[[int], int]:
    def callback(value: int) -> int:
        check(value)
        return value

    return callback


Repetitions = Annotated[
    int,
    typer.Option(
        metavar="N",
        callback=_checked(check_repetitions),
        help="Number of training seeds to compare.",
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        metavar="N",
        callback=_checked(check_workers),
        help="Number of worker processes; 0: only this one.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
Force = Annotated[bool, typer.Option("--force", help="Replace existing files.")]


@dataclass(frozen=True)
class Learner:
    """Options of a study: algorithm and environment."""

    env: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Environment: gymnasium id, module:Env-v0 or module:factory."
        ),
    ] = None
    algorithm: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Installed algorithm, or your own as module:object.",
            show_default="bc",
        ),
    ] = None


@dataclass(frozen=True)
class Goals:
    """Options of a study: when it may stop."""

    until: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GOAL",
            help="Stop at this goal: reliability=0.9 or verdicts; repeatable.",
        ),
    ] = None
    max_time: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Maximum working time: 90, 90s, 5m or 2h.",
            show_default="no limit",
        ),
    ] = None

    def until_fields(self) -> dict[str, Any]:
        """Return the fields of `study.until` that these options set.

        Raises:
            StudyError: When a goal cannot be read or is given twice.
        """
        from r2rise.errors import StudyError

        until: dict[str, Any] = {}
        if self.max_time is not None:
            until["seconds"] = parse_seconds(self.max_time)
        for goal in map(_goal, self.until or ()):
            if repeated := until.keys() & goal.keys():
                raise StudyError(f"--until {min(repeated)} is given twice: give it once.")
            until |= goal
        return until


@dataclass(frozen=True)
class Frames:
    """Options of a study: masking and observations."""

    segment_length: Annotated[
        str | None,
        typer.Option(
            metavar="FRAMES",
            help="Frames of a segment: a number, 'all' or 'auto'.",
            show_default="auto",
        ),
    ] = None
    segments: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Your own segments: CSV with demonstration, start, stop."
        ),
    ] = None
    frame_stack: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of frames that one observation shows.",
            show_default="1",
        ),
    ] = None
    obs_keys: ObsKeys = None

    def masking_fields(self) -> dict[str, Any]:
        """Return the fields of `study.masking` that these options set.

        Raises:
            StudyError: When options contradict each other, or the segments file cannot be used.
        """
        stacking = {} if self.frame_stack is None else {"frame_stack": self.frame_stack}
        return _segment_fields(self.segment_length, self.segments) | stacking


@dataclass(frozen=True)
class Base:
    """Options of a study: a file that the other options update, and the seed."""

    study: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Study as YAML; options take precedence over it."),
    ] = None
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Seed of all random numbers.", show_default="0"),
    ] = None


def with_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command in which each group of options is replaced by its options.

    Args:
        command: Function with keyword-only parameters; a group is a parameter that is annotated
            with one of the dataclasses of this module.
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
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]

    @functools.wraps(command)
    def flattened(**options: Any) -> None:
        for name, group in groups.items():
            options[name] = group(
                **{field.name: options.pop(field.name) for field in fields(group)}
            )
        command(**options)

    flattened.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    flattened.__annotations__ = {p.name: p.annotation for p in parameters}
    return flattened


def study_of(
    base: Base,
    learner: Learner,
    frames: Frames,
    goals: Goals | None = None,
    other_fields: Mapping[str, Any] | None = None,
) -> "Study":
    """Return the study of a file, updated by the options that were given.

    Args:
        base: File and seed.
        learner: Algorithm and environment.
        frames: Masking and observations.
        goals: When the study may stop, for commands with these options.
        other_fields: Other fields of the study, by name.

    Raises:
        StudyError: When fields are wrong; it names each, its expected value and its actual value.
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
        **(other_fields or {}),
    }
    overrides = {name: _drop_unset(value) for name, value in options.items()}
    overrides = {name: value for name, value in overrides.items() if value not in (None, {})}
    file_fields = long_form(read_yaml(base.study)) if base.study else {}
    for part in overrides.keys() & file_fields.keys() & {"algorithm", "environment"}:
        # The identity of the file belongs to the name that the options replace.
        file_fields[part] = {k: v for k, v in file_fields[part].items() if k != "identity"}
    study_fields = merged(file_fields, overrides)
    if "environment" not in study_fields:
        raise StudyError("Which environment? Give --env ID, or --study FILE with an environment.")
    return Study.parse(study_fields)


def environment_fields(env: str | None, obs_keys: str | None) -> dict[str, Any]:
    """Return the fields of `study.environment` for these options."""
    return {"id": env, "obs_keys": split_commas(obs_keys)}


def split_commas(text: str | None) -> list[str] | None:
    """Return the parts of `a,b,c`, without the spaces around them."""
    return [part.strip() for part in text.split(",")] if text else None


def _goal(text: str) -> dict[str, Any]:
    from r2rise.errors import StudyError, suggestion

    name, _, value = text.partition("=")
    if text == "verdicts":
        return {"verdicts": True}
    if name == "reliability":
        with suppress(ValueError):
            return {"reliability": float(value)}
    goals = ("reliability", "verdicts")
    hint = "" if name in goals else f" {suggestion(name, goals)}"
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


def _drop_unset(value: Any) -> Any:
    """Drop fields that are None, which were not given.

    Masking fields are kept when `boundaries` is among them: there, None resets the study's field.
    """
    if not isinstance(value, dict) or "boundaries" in value:
        return value
    return {name: option for name, option in value.items() if option is not None}
