"""`r2rise explain`."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from r2rise_service.cli.common import Workers, get_ready

if TYPE_CHECKING:
    from r2rise import Study


def explain(
    demonstrations: Annotated[Path, typer.Argument(metavar="DEMOS", help="Demonstrations, .npz.")],
    out: Annotated[
        Path, typer.Option(help="Directory for study, ledger and map; run again to go on.")
    ],
    env: Annotated[
        str | None, typer.Option(help="Gymnasium id, module:Env-v0 or module:factory.")
    ] = None,
    algorithm: Annotated[
        str | None, typer.Option(help="Installed algorithm, or module:object.")
    ] = None,
    retrainings: Annotated[int | None, typer.Option(help="Masks to retrain on.")] = None,
    until: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GOAL", help="Stop at reliability=0.9, or at verdicts for all; repeatable."
        ),
    ] = None,
    max_time: Annotated[
        str | None, typer.Option(help="Time to work at most: 90, 90s, 5m or 2h.")
    ] = None,
    segment_length: Annotated[
        str | None, typer.Option(help="Frames masked together, or 'all'.")
    ] = None,
    segments: Annotated[
        Path | None, typer.Option(help="Your own segments: CSV of demonstration, start, stop.")
    ] = None,
    obs_keys: Annotated[
        str | None, typer.Option(help="Keys of a dict observation to use: a,b,c.")
    ] = None,
    estimator: Annotated[
        str | None, typer.Option(help="difference, ridge, rise or rise_normalized.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Set of defaults: 'paper' (arXiv 2301.01088).")
    ] = None,
    study: Annotated[
        Path | None, typer.Option(help="Study as YAML; the options here win over it.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    workers: Workers = 0,
    ledger: Annotated[Path | None, typer.Option(help="Ledger file, if not OUT/ledger.npz.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the map as JSON.")] = False,
) -> None:
    """Compute an importance map from demonstrations.

    Example: r2rise explain demos.npz --env CartPole-v1 --retrainings 384 --workers 2 --out out/
    """
    import r2rise
    from r2rise_service.cli.progress import progress_bar
    from r2rise_service.cli.summary import print_map

    get_ready()
    question = _study(
        study,
        {
            "environment": {"id": env, "obs_keys": obs_keys.split(",") if obs_keys else None},
            "algorithm": {"name": algorithm},
            "masking": _masking(segment_length, segments),
            "budget": {"retrainings": retrainings},
            "until": _until(until or (), max_time),
            "estimator": estimator,
            "preset": preset,
            "seed": seed,
        },
    )
    may_end_early = question.until.has_goal or question.until.seconds is not None
    with progress_bar("Retraining", at_most=may_end_early) as on_progress:
        importance = r2rise.explain(
            demonstrations,
            question,
            out=out,
            ledger=ledger,
            workers=workers,
            on_progress=on_progress,
        )
    if json:
        typer.echo(importance.to_json(), nl=False)
    else:
        print_map(importance)
        typer.echo(f"Written to {out}: map.json, map.csv, map.png, ledger.npz, study.yaml.")


def _until(goals: Sequence[str], max_time: str | None) -> dict[str, Any]:
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


def _masking(segment_length: str | None, segments: Path | None) -> dict[str, Any]:
    from r2rise.errors import StudyError
    from r2rise.segments import read_boundaries

    if segments is not None:
        if segment_length is not None:
            raise StudyError("Give either --segment-length or --segments, not both.")
        return {"segment_length": None, "boundaries": read_boundaries(segments)}
    if segment_length is None or segment_length == "all":
        return {"segment_length": segment_length, "boundaries": None} if segment_length else {}
    try:
        return {"segment_length": int(segment_length), "boundaries": None}
    except ValueError:
        raise StudyError(
            f"--segment-length should be a number of frames or 'all', got {segment_length!r}."
        ) from None


def _study(path: Path | None, options: dict[str, Any]) -> "Study":
    from r2rise import Study
    from r2rise.errors import StudyError
    from r2rise.study import merged, read_yaml

    given = {name: _given(value) for name, value in options.items()}
    given = {name: value for name, value in given.items() if value not in (None, {})}
    fields = merged(_expanded(read_yaml(path)) if path else {}, given)
    if "environment" not in fields:
        raise StudyError("Which environment? Give --env ID, or --study FILE with an environment.")
    return Study.parse(fields)


def _given(value: Any) -> Any:
    """Return the options that were given; `boundaries: None` and the like reset a study's own."""
    if not isinstance(value, dict) or "boundaries" in value:
        return value
    return {name: option for name, option in value.items() if option is not None}


def _expanded(fields: dict[str, Any]) -> dict[str, Any]:
    """Write out a study's short forms, so that options can be merged into them."""
    long_names = {"environment": "id", "algorithm": "name", "budget": "retrainings"}
    return {
        name: {long_names[name]: value}
        if name in long_names and not isinstance(value, dict)
        else value
        for name, value in fields.items()
    }
