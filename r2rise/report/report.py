"""The report: an output directory as one page in plain words, that needs no other file."""

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
    differ,
    differences_of,
    edit_row,
    largest_part,
    level_rows,
    n_passes,
    returns_of,
    tables_of,
)
from r2rise.results.certificate import Certificate
from r2rise.results.comparison import Comparison
from r2rise.results.curation import Curation
from r2rise.results.importance_map import ImportanceMap
from r2rise.results.map_words import Judged, budgets_words, why_no_verdicts
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

_TRUST = ((0.9, "reliable"), (0.7, "fairly reliable"), (0.5, "not very reliable"))

AnyResult = TypeVar("AnyResult", bound=Result)


class Commands(NamedTuple):
    """What the page tells to type for what was not asked yet."""

    plan: str
    certify: str
    curate: str
    compare: str
    transfer: str

    @classmethod
    def of(cls, output: OutputDirectory) -> "Commands":
        """Return the commands for an output directory."""
        own = shlex.quote(str(output.path))
        out = shlex.quote(str(output.path / Comparison.file_name))
        return cls(
            plan=f"r2rise plan {own}/demonstrations.npz --study {own}/study.yaml --out {own}",
            certify=f"r2rise certify {own}",
            curate=f"r2rise curate {own} --out better.npz",
            compare=f"r2rise compare {own} OTHER --out {out}",
            transfer=f"r2rise transfer {own} OTHER",
        )


def write_report(directory: str | Path, *, commands: Commands | None = None) -> Path:
    """Write `report.html` from all results in an output directory.

    Args:
        directory: What `explain` wrote, with whatever other results lie beside the map.
        commands: What the page tells to type, if not what is right for the directory.

    Returns:
        The file written: one page with everything in it, that asks nothing of any server.

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
    contents = _contents(output) | {"commands": commands or Commands.of(output)}
    page = _template().render(contents)
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
        "number": in_digits, "per_cent": per_cent, "duration": duration, "listed": _listed,
        "counted": counted, "failed_words": failed_words,
    }  # fmt: skip
    return environment.get_template("report.html.j2")


class _Results(NamedTuple):
    """What lies beside the map."""

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


def _load(kind: type[AnyResult], folder: Path) -> AnyResult | None:
    return kind.load(folder) if (folder / kind.file_name).exists() else None


def _contents(output: OutputDirectory) -> dict[str, Any]:
    """Return what the template asks for."""
    found, results = output.importance_map(), _Results.of(output.path)
    judged = Judged.segments(found)
    trust, curve = found.quality.reliability, found.study.training.curve
    return {
        **results._asdict(),
        "map": found,
        "training": None if curve is None else training_words(curve),
        "figures": _figures(found, results),
        "captions": CAPTIONS,
        "unit": unit_words(found.estimator.unit),
        "signed": found.estimator.sign == "positive_helps",
        "judged": judged,
        "why_no_verdicts": why_no_verdicts(found),
        "budgets": budgets_words(found),
        **tables_of(found, judged),
        "differ": differ(found.quality.equal_importance_p),
        "trust": next((word for least, word in _TRUST if (trust or 0) >= least), "not reliable"),
        "largest_part": largest_part(results.plan.variance) if results.plan else None,
        "returns": list(returns_of(found)),
        "edits": [edit_row(edit) for edit in (results.curation.edits if results.curation else ())],
        "differences": differences_of(found, results.comparison),
        "n_passes": n_passes(results.transfer),
        "level_rows": level_rows(results.certificate),
        "study_yaml": yaml.safe_dump(found.study.model_dump(mode="json"), sort_keys=False),
    }


def _figures(found: ImportanceMap, results: _Results) -> "dict[str, Markup]":
    from markupsafe import Markup

    plan, certificate, curation, transfer, comparison = results
    maps = both_maps(comparison, found) if comparison else None
    curve, unit = found.study.training.curve, found.estimator.unit
    drawn = {
        "importance": partial(figures.draw_importance, found),
        "training": curve and partial(figures.draw_training, curve, unit=unit),
        "plan": plan and partial(figures.draw_plan, plan),
        "certificate": certificate and partial(figures.draw_certificate, certificate),
        "curation": curation and partial(figures.draw_curation, curation),
        "comparison": comparison and maps and partial(figures.draw_comparison, comparison, *maps),
        "transfer": transfer and partial(figures.draw_transfer, transfer),
    }
    return {
        name: Markup(inline_svg(draw, name, CAPTIONS[name]))  # noqa: S704  (our own)
        for name, draw in drawn.items()
        if draw
    }


def _listed(shares: Iterable[float]) -> str:
    return ", ".join(per_cent(share) for share in shares)
