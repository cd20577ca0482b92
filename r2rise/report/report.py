"""The report: the results of an output directory as one self-contained page."""

import shlex
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import yaml

from r2rise.ask.directory import OutputDirectory
from r2rise.errors import ResultError
from r2rise.files import atomic_file
from r2rise.report import figures
from r2rise.report.figures.canvas import per_cent, unit_words
from r2rise.report.figures.comparison import both_maps
from r2rise.report.figures.inline import inline_svg
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
from r2rise.results.certificate import Certificate
from r2rise.results.comparison import Comparison
from r2rise.results.curation import Curation
from r2rise.results.importance_map import ImportanceMap
from r2rise.results.map_words import ImportanceTable, budgets_words, why_no_verdicts
from r2rise.results.result import Result
from r2rise.results.training_check import training_words
from r2rise.results.transfer import Transfer
from r2rise.statistics.wording import (
    counted,
    duration,
    failed_words,
    in_digits,
)

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

    from r2rise.results.plan import Plan

FILE_NAME = "report.html"

CAPTIONS = {
    "importance": "Importance of every segment; the tables hold the numbers.",
    "training": "Return of all frames over the amount of training, with two standard errors.",
    "plan": "Reliability to be expected of more retrainings, and where the variance of the returns "
    "of the pilot comes from.",
    "certificate": "Returns after training on some of the segments, with 95 % intervals.",
    "curation": "Returns after leaving out what hurts most, with 95 % intervals.",
    "comparison": "Importance of every segment in both maps.",
    "transfer": "How far training on the top and the bottom of each map are apart, by learner.",
}

_RELIABILITY_WORDS = ((0.9, "reliable"), (0.7, "fairly reliable"), (0.5, "not very reliable"))

ResultType = TypeVar("ResultType", bound=Result)


class Commands(NamedTuple):
    """The commands that the page shows for results that do not exist yet."""

    plan: str
    certify: str
    curate: str
    compare: str
    transfer: str

    @classmethod
    def of(cls, output: OutputDirectory) -> "Commands":
        """Return the commands for an output directory."""
        path = shlex.quote(str(output.path))
        comparison = shlex.quote(str(output.path / Comparison.file_name))
        return cls(
            plan=f"r2rise plan {path}/demonstrations.npz --study {path}/study.yaml --out {path}",
            certify=f"r2rise certify {path}",
            curate=f"r2rise curate {path} --out better.npz",
            compare=f"r2rise compare {path} OTHER --out {comparison}",
            transfer=f"r2rise transfer {path} OTHER",
        )


def write_report(directory: str | Path, *, commands: Commands | None = None) -> Path:
    """Write `report.html` from all results in an output directory.

    Args:
        directory: The directory that `explain` wrote, with any other results beside the map.
        commands: Commands that the page shows; by default those for the directory.

    Returns:
        The file written: one page that contains everything and loads nothing from a server.

    Raises:
        ResultError: When there is no map in the directory, or another result cannot be read.
        MapError: When the map cannot be read.
        MissingExtra: When matplotlib is not installed.
    """
    output = OutputDirectory(Path(directory))
    if not (output.path / ImportanceMap.file_name).exists():
        raise ResultError(
            f"There is no {ImportanceMap.file_name} in {output.path}: give the directory that "
            f"`r2rise explain ... --out` wrote, or run that first."
        )
    context = _context(output) | {"commands": commands or Commands.of(output)}
    page = _template().render(context)
    target = output.path / FILE_NAME
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


class _Results(NamedTuple):
    """The other results in the directory; None for those that do not exist."""

    plan: "Plan | None"
    certificate: Certificate | None
    curation: Curation | None
    transfer: Transfer | None
    comparison: Comparison | None

    @classmethod
    def of(cls, folder: Path) -> "_Results":
        plan = None
        if (folder / "plan.json").exists():
            from r2rise.results.plan import Plan

            plan = Plan.load(folder)
        return cls(
            plan,
            _load(Certificate, folder),
            _load(Curation, folder),
            _load(Transfer, folder),
            _load(Comparison, folder),
        )


def _load(kind: type[ResultType], folder: Path) -> ResultType | None:
    return kind.load(folder) if (folder / kind.file_name).exists() else None


def _context(output: OutputDirectory) -> dict[str, Any]:
    """Return the variables of the template."""
    importance_map, results = output.importance_map(), _Results.of(output.path)
    importance_table = ImportanceTable.segments(importance_map)
    reliability, curve = importance_map.quality.reliability, importance_map.study.training.curve
    return {
        **results._asdict(),
        "map": importance_map,
        "training": None if curve is None else training_words(curve),
        "figures": _figures(importance_map, results),
        "captions": CAPTIONS,
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
        "largest_part": largest_part(results.plan.variance) if results.plan else None,
        "returns": list(return_rows(importance_map)),
        "edits": [edit_row(edit) for edit in (results.curation.edits if results.curation else ())],
        "differences": difference_rows(importance_map, results.comparison),
        "n_passes": n_passes(results.transfer),
        "level_rows": level_rows(results.certificate),
        "study_yaml": yaml.safe_dump(importance_map.study.model_dump(mode="json"), sort_keys=False),
    }


def _figures(importance_map: ImportanceMap, results: _Results) -> "dict[str, Markup]":
    from markupsafe import Markup

    plan, certificate, curation, transfer, comparison = results
    maps = both_maps(comparison, importance_map) if comparison else None
    curve, unit = importance_map.study.training.curve, importance_map.estimator.unit
    draw_functions = {
        "importance": partial(figures.draw_importance, importance_map),
        "training": curve and partial(figures.draw_training, curve, unit=unit),
        "plan": plan and partial(figures.draw_plan, plan),
        "certificate": certificate and partial(figures.draw_certificate, certificate),
        "curation": curation and partial(figures.draw_curation, curation),
        "comparison": comparison and maps and partial(figures.draw_comparison, comparison, *maps),
        "transfer": transfer and partial(figures.draw_transfer, transfer),
    }
    return {
        name: Markup(inline_svg(draw, name, CAPTIONS[name]))  # noqa: S704  (drawn here)
        for name, draw in draw_functions.items()
        if draw
    }


def _join_per_cents(shares: Iterable[float]) -> str:
    return ", ".join(per_cent(share) for share in shares)
