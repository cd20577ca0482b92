"""`r2rise compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from r2rise import Comparison


def compare(
    a: Annotated[Path, typer.Argument(metavar="MAP", help="A map or its directory.")],
    b: Annotated[Path, typer.Argument(metavar="MAP", help="Another over the same segments.")],
    top: Annotated[int, typer.Option(min=1, help="Length of the top lists.")] = 10,
    json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Compare two importance maps: rank correlations and overlap of the top lists.

    Example: r2rise compare out-bc/ out-gail/map.json
    """
    from r2rise import ImportanceMap
    from r2rise import compare as compare_maps

    found = compare_maps(ImportanceMap.load(a), ImportanceMap.load(b), k=top)
    typer.echo(found.model_dump_json(indent=2) if json else _words(found))


def _words(found: "Comparison") -> str:
    correlations = [
        f"{name}: {'a map is constant' if value is None else f'{value:.3f}'}"
        for name, value in (("Spearman", found.spearman), ("Kendall", found.kendall))
    ]
    return "\n".join(
        [
            f"{found.n_segments} segments in both maps",
            *correlations,
            f"Top {found.k} in common: {found.top.share:.0%} (by chance {found.top.by_chance:.0%})",
            f"Bottom {found.k} in common: {found.bottom.share:.0%}",
        ]
    )
