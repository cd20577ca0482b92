"""`r2rise compare`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from r2rise_service.cli.options import Force
from r2rise_service.cli.ready import check_files

if TYPE_CHECKING:
    from r2rise import Comparison, ImportanceMap
    from r2rise.results.comparison import Correlation, Difference, Overlap

ComparisonFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="File for the comparison (.json) or its figure (.png, .svg)."
    ),
]

N_DIFFERENCES = 5
_VERDICT_WORDS = {"helps": "more in {}", "hurts": "less in {}"}


def compare(
    a: Annotated[Path, typer.Argument(metavar="MAP", help="Importance map, or its directory.")],
    b: Annotated[Path, typer.Argument(metavar="MAP", help="Another map over the same segments.")],
    top: Annotated[
        int, typer.Option(min=1, metavar="N", help="Length of the top and bottom lists.")
    ] = 10,
    out: ComparisonFile = None,
    force: Force = False,
    json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare two importance maps, without retraining.

    Example: r2rise compare out-bc/ out-gail/map.json
    """
    from r2rise import ImportanceMap
    from r2rise import compare as compare_maps

    if out is not None:
        _check_ending(out)
        check_files(out, force=force)
    first, second = ImportanceMap.load(a), ImportanceMap.load(b)
    comparison = compare_maps(first, second, k=top, names=names_of(a, b))
    present(comparison, first, second, out=out, json=json)


def _check_ending(out: Path) -> None:
    from r2rise.errors import InputError

    if not out.is_dir() and out.suffix.lower() not in (".json", ".png", ".svg"):
        raise InputError(f"--out should end in .json, .png or .svg, got {out}.")


def names_of(a: Path, b: Path) -> tuple[str, str]:
    """Name maps by their directories or files, or by their full paths where the names are equal."""
    first, second = _name_of(a), _name_of(b)
    return (first, second) if first != second else (str(a), str(b))


def _name_of(path: Path) -> str:
    full_path = path.resolve()
    return full_path.parent.name if full_path.name == "map.json" else full_path.stem


def present(
    comparison: "Comparison",
    first: "ImportanceMap",
    second: "ImportanceMap",
    *,
    out: Path | None,
    json: bool,
) -> None:
    """Print a comparison of two maps; write it, or its figure, to `out` if that is not None."""
    if out is not None:
        _save(comparison, first, second, out)
    if json:
        typer.echo(comparison.to_json(), nl=False)
    else:
        _print(comparison, first)
    if out is not None:
        typer.echo(f"Written: {out}.", err=json)


def _save(
    comparison: "Comparison", first: "ImportanceMap", second: "ImportanceMap", out: Path
) -> None:
    from r2rise.files import atomic_file
    from r2rise.report.figures.comparison import draw_comparison

    ending = out.suffix.lower()
    if ending not in (".png", ".svg"):
        comparison.save(out)
        return
    with atomic_file(out) as file:
        draw_comparison(
            comparison, first, second, file, format="svg" if ending == ".svg" else "png"
        )


def _print(comparison: "Comparison", first: "ImportanceMap") -> None:
    from r2rise.statistics.wording import counted
    from r2rise_service.cli.output import say

    constant = "unknown, a map is constant"
    spearman_corrected = _correlation(comparison.spearman_corrected, "unknown")
    names = " and ".join(comparison.labels)
    say(
        f"{counted(comparison.n_segments, 'segment')} in both maps: {names}",
        f"Spearman: {_correlation(comparison.spearman, constant)}",
        f"Kendall: {_correlation(comparison.kendall, constant)}",
        f"Spearman without the maps' noise: {spearman_corrected}",
        f"Top {comparison.k} in common: {_overlap(comparison.top)}",
        f"Bottom {comparison.k} in common: {_overlap(comparison.bottom)}",
    )
    if comparison.difference is None:
        say("Differences: none are given, since the maps have no unit in common.")
    else:
        _print_differences(
            comparison.difference, first, comparison.names or ("the first map", "the second")
        )


def _correlation(correlation: "Correlation", default: str) -> str:
    if correlation.value is None:
        return default
    if correlation.lower is None or correlation.upper is None:
        return f"{correlation.value:.3f}"
    return f"{correlation.value:.3f} ({correlation.lower:.3f} to {correlation.upper:.3f})"


def _overlap(overlap: "Overlap") -> str:
    return f"{overlap.share:.0%} (by chance {overlap.by_chance:.0%}, p = {overlap.p:.3g})"


def _print_differences(
    difference: "Difference", first: "ImportanceMap", names: tuple[str, str]
) -> None:
    from r2rise_service.cli.output import say, say_table

    rows = list(_largest(difference, first, names[0]))
    say(
        f"Importance in {names[0]}: {difference.verdict.count('helps')} segments more, "
        f"{difference.verdict.count('hurts')} less, "
        f"{difference.verdict.count('unresolved')} unresolved"
    )
    say_table(
        f"Largest differences, {names[0]} less {names[1]}",
        ["demonstration", "frames", "difference", "std error", "verdict"],
        rows,
    )


def _largest(
    difference: "Difference", first: "ImportanceMap", name: str
) -> Iterator[tuple[str, ...]]:
    import numpy as np

    from r2rise.statistics.wording import decimals, signed
    from r2rise_service.cli.output import number, segment_cells

    finite = np.flatnonzero(np.isfinite(difference.difference))
    order = finite[np.argsort(-np.abs(difference.difference[finite]), kind="stable")]
    n_decimals = decimals(difference.difference.tolist())
    for index in order[:N_DIFFERENCES].tolist():
        verdict = difference.verdict[index] or "-"
        yield (
            *segment_cells(first.segment(index)),
            signed(float(difference.difference[index]), n_decimals),
            number(difference.std_error[index]),
            _VERDICT_WORDS.get(verdict, verdict).format(name),
        )
