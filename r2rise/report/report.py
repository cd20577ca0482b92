"""The report: the results of an output directory as one self-contained page."""

import shlex
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from r2rise.ask.directory import OutputDirectory
from r2rise.errors import ResultError
from r2rise.files import atomic_file, to_path
from r2rise.report.figures.canvas import per_cent, unit_words
from r2rise.report.figures.comparison import both_maps, draw_comparison
from r2rise.report.figures.inline import inline_svg
from r2rise.report.figures.training import draw_training
from r2rise.report.tables import (
    difference_rows,
    edit_row,
    frames_differ,
    importance_rows,
    largest_part,
    level_rows,
    n_passes,
    return_rows,
)
from r2rise.results.comparison import Comparison
from r2rise.results.importance_map import ImportanceMap
from r2rise.results.map_words import ImportanceTable, budgets_words, why_no_verdicts
from r2rise.results.result import result_classes
from r2rise.results.training_check import training_words
from r2rise.statistics.wording import (
    counted,
    duration,
    failed_words,
    in_digits,
)

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

FILE_NAME = "report.html"

_TRAINING_CAPTION = "Return of all frames over the amount of training, with two standard errors."

_RELIABILITY_WORDS = ((0.9, "reliable"), (0.7, "fairly reliable"), (0.5, "not very reliable"))


class _Drawing(NamedTuple):
    """What draws a figure into a file, and the caption of the figure."""

    draw: Callable[..., None]
    caption: str


def _local_command(directory: Path, verb: str) -> str:
    """Return the command that asks for a result in an output directory."""
    path = shlex.quote(str(directory))
    comparison = shlex.quote(str(directory / Comparison.file_name))
    arguments = {
        "plan": f"{path}/demonstrations.npz --study {path}/study.yaml --out {path}",
        "curate": f"{path} --out better.npz",
        "compare": f"{path} OTHER --out {comparison}",
        "transfer": f"{path} OTHER",
    }
    return f"r2rise {verb} {arguments.get(verb, path)}"


def write_report(
    directory: str | Path,
    *,
    out: str | Path | None = None,
    command: Callable[[str], str] | None = None,
) -> Path:
    """Write a report of all results in an output directory.

    Args:
        directory: The directory that `explain` wrote, with any other results beside the map.
        out: The file to write, if not `report.html` in the directory.
        command: Returns the command that the page shows for a result that does not exist yet, by
            its verb, such as `certify`; by default that for the directory.

    Returns:
        The file written: one page that contains everything and loads nothing from a server.

    Raises:
        ResultError: When there is no map in the directory, or another result cannot be read.
        MapError: When the map cannot be read.
        MissingExtra: When matplotlib is not installed.
    """
    output = OutputDirectory(to_path(directory, "directory", "directory"))
    if not (output.path / ImportanceMap.file_name).exists():
        raise ResultError(
            f"There is no {ImportanceMap.file_name} in {output.path}: give the directory that "
            f"`explain` wrote, or run that first."
        )
    context = _context(output) | {"command": command or partial(_local_command, output.path)}
    page = _template().render(context)
    target = output.path / FILE_NAME if out is None else to_path(out, "out")
    with atomic_file(target) as file:
        file.write(page.encode())
    return target


def _template() -> "Template":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("r2rise.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": in_digits, "per_cent": per_cent, "duration": duration, "listed": _join_per_cents,
        "counted": counted, "failed_words": failed_words,
    }  # fmt: skip
    return environment.get_template("report.html.j2")


def _load_results(folder: Path) -> dict[str, Any]:
    """Return the results beside the map by the stem of their file names; None where one is not."""
    return {
        Path(kind.file_name).stem: kind.load(folder) if (folder / kind.file_name).exists() else None
        for kind in result_classes()
        if kind.caption and kind is not ImportanceMap
    }


def _context(output: OutputDirectory) -> dict[str, Any]:
    """Return the variables of the template."""
    importance_map, results = output.importance_map(), _load_results(output.path)
    plan, curation, comparison = (results[name] for name in ("plan", "curation", "comparison"))
    drawings = _drawings(importance_map, results)
    importance_table = ImportanceTable.segments(importance_map)
    reliability, curve = importance_map.quality.reliability, importance_map.study.training.curve
    return {
        **results,
        "map": importance_map,
        "training": None if curve is None else training_words(curve),
        "figures": _inline(drawings),
        "captions": {name: drawing.caption for name, drawing in drawings.items()},
        "unit": unit_words(importance_map.estimator.unit),
        "signed": importance_map.estimator.sign == "positive_helps",
        "importance_table": importance_table,
        "why_no_verdicts": why_no_verdicts(importance_map),
        "budgets": budgets_words(importance_map),
        **importance_rows(importance_map, importance_table),
        "frames_differ": frames_differ(importance_map.quality.equal_importance_p),
        "reliability_words": next(
            (word for least, word in _RELIABILITY_WORDS if (reliability or 0) >= least),
            "not reliable",
        ),
        "largest_part": largest_part(plan.variance) if plan else None,
        "returns": list(return_rows(importance_map)),
        "edits": [edit_row(edit) for edit in (curation.edits if curation else ())],
        "differences": difference_rows(importance_map, comparison),
        "n_passes": n_passes(results["transfer"]),
        "level_rows": level_rows(results["certificate"]),
        "study_yaml": yaml.safe_dump(importance_map.study.model_dump(mode="json"), sort_keys=False),
    }


def _drawings(importance_map: ImportanceMap, results: dict[str, Any]) -> dict[str, _Drawing]:
    """Return what draws each figure of the page, by the name of the module that draws it."""
    drawings = {
        result.figure.partition(":")[0]: _Drawing(result.draw, result.caption)
        for result in (importance_map, *results.values())
        if result is not None and result.figure
    }
    if curve := importance_map.study.training.curve:
        draw = partial(draw_training, curve, unit=importance_map.estimator.unit)
        drawings["training"] = _Drawing(draw, _TRAINING_CAPTION)
    comparison = results["comparison"]
    maps = both_maps(comparison, importance_map) if comparison else None
    if maps:
        draw = partial(draw_comparison, comparison, *maps)
        drawings["comparison"] = _Drawing(draw, comparison.caption)
    return drawings


def _inline(drawings: dict[str, _Drawing]) -> "dict[str, Markup]":
    from markupsafe import Markup

    return {
        name: Markup(inline_svg(draw, name, caption))  # noqa: S704  (drawn here)
        for name, (draw, caption) in drawings.items()
    }


def _join_per_cents(shares: Iterable[float]) -> str:
    return ", ".join(per_cent(share) for share in shares)
