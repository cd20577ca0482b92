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
    Path | None, typer.Option(help="File for the comparison, .json, or its figure, .png or .svg.")
]

N_DIFFERENCES = 5
_DIFFERS = {"helps": "more in {}", "hurts": "less in {}"}


def compare(
    a: Annotated[Path, typer.Argument(metavar="MAP", help="A map or its directory.")],
    b: Annotated[Path, typer.Argument(metavar="MAP", help="Another over the same segments.")],
    top: Annotated[int, typer.Option(min=1, help="Length of the top lists.")] = 10,
    out: ComparisonFile = None,
    force: Force = False,
    json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare two importance maps: correlations, overlap of the top lists, differences.

    Example: r2rise compare out-bc/ out-gail/map.json
    """
    from r2rise import ImportanceMap
    from r2rise import compare as compare_maps

    if out is not None:
        check_files(out, force=force)
    first, second = ImportanceMap.load(a), ImportanceMap.load(b)
    found = compare_maps(first, second, k=top, names=names_of(a, b))
    present(found, first, second, out=out, json=json)


def names_of(a: Path, b: Path) -> tuple[str, str]:
    """Name maps by their directories or files, or by their whole paths where these are alike."""
    first, second = _name_of(a), _name_of(b)
    return (first, second) if first != second else (str(a), str(b))


def _name_of(path: Path) -> str:
    whole = path.resolve()
    return whole.parent.name if whole.name == "map.json" else whole.stem


def present(
    found: "Comparison",
    first: "ImportanceMap",
    second: "ImportanceMap",
    *,
    out: Path | None,
    json: bool,
) -> None:
    """Print a comparison of two maps, and write it or its figure where that is asked for."""
    if out is not None:
        _save(found, first, second, out)
    if json:
        typer.echo(found.to_json(), nl=False)
    else:
        _print(found, first)
    if out is not None:
        typer.echo(f"Written: {out}.", err=json)


def _save(found: "Comparison", first: "ImportanceMap", second: "ImportanceMap", out: Path) -> None:
    from r2rise.files import atomic_file
    from r2rise.report.figures import draw_comparison

    ending = out.suffix.lower()
    if ending not in (".png", ".svg"):
        found.save(out)
        return
    with atomic_file(out) as file:
        draw_comparison(found, first, second, file, format="svg" if ending == ".svg" else "png")


def _print(found: "Comparison", first: "ImportanceMap") -> None:
    from r2rise.statistics.wording import counted
    from r2rise_service.cli.output import say

    constant = "unknown, a map is constant"
    names = " and ".join(found.labels)
    say(
        f"{counted(found.n_segments, 'segment')} in both maps: {names}",
        f"Spearman: {_correlation(found.spearman, constant)}",
        f"Kendall: {_correlation(found.kendall, constant)}",
        f"Spearman without the maps' noise: {_correlation(found.spearman_corrected, 'unknown')}",
        f"Top {found.k} in common: {_overlap(found.top)}",
        f"Bottom {found.k} in common: {_overlap(found.bottom)}",
    )
    if found.difference is None:
        say("Differences: none are given, since the maps have no unit in common.")
    else:
        _print_differences(found.difference, first, found.names or ("the first map", "the second"))


def _correlation(found: "Correlation", otherwise: str) -> str:
    if found.value is None:
        return otherwise
    if found.lower is None or found.upper is None:
        return f"{found.value:.3f}"
    return f"{found.value:.3f} ({found.lower:.3f} to {found.upper:.3f})"


def _overlap(found: "Overlap") -> str:
    return f"{found.share:.0%} (by chance {found.by_chance:.0%}, p = {found.p:.3g})"


def _print_differences(found: "Difference", first: "ImportanceMap", names: tuple[str, str]) -> None:
    from r2rise_service.cli.output import say, say_table

    rows = list(_largest(found, first, names[0]))
    say(
        f"Importance in {names[0]}: {found.verdict.count('helps')} segments more, "
        f"{found.verdict.count('hurts')} less, {found.verdict.count('unresolved')} unresolved"
    )
    say_table(
        f"Largest differences, {names[0]} less {names[1]}",
        ["demonstration", "frames", "difference", "std error", "verdict"],
        rows,
    )


def _largest(found: "Difference", first: "ImportanceMap", name: str) -> Iterator[tuple[str, ...]]:
    import numpy as np

    from r2rise.statistics.wording import decimals, signed
    from r2rise_service.cli.output import number, place

    known = np.flatnonzero(np.isfinite(found.difference))
    order = known[np.argsort(-np.abs(found.difference[known]), kind="stable")]
    n_decimals = decimals(found.difference.tolist())
    for index in order[:N_DIFFERENCES].tolist():
        verdict = found.verdict[index] or "-"
        yield (
            *place(first.segment(index)),
            signed(float(found.difference[index]), n_decimals),
            number(found.std_error[index]),
            _DIFFERS.get(verdict, verdict).format(name),
        )
