"""The notebook of the examples runs anywhere, and shows what comes out."""

import re

import pytest
from notebook import NOTEBOOK, code_cells, executed, is_removed_bar, read
from pages import without_numbers

MAX_BYTES = 600_000


def texts(cell) -> list[str]:
    """What a cell shows as text, without numbers and the spaces that align them."""
    shown = [output.get("text") or output["data"]["text/plain"] for output in cell.outputs]
    return [" ".join(without_numbers(text).split()) for text in shown]


def kinds(cell) -> list[set[str]]:
    """Which forms each output of a cell has."""
    return [set(output.get("data", ())) for output in cell.outputs]


@pytest.mark.slow
def test_the_notebook_runs_anywhere_and_shows_what_it_says(tmp_path):
    pairs = zip(code_cells(read()), code_cells(executed(read(), tmp_path)), strict=True)
    for committed, found in pairs:
        assert [o.text for o in found.outputs if o.get("name") == "stderr"] == []
        assert kinds(found) == kinds(committed)
        assert texts(found) == texts(committed)
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"better.npz", "map.json", "map.png"}


def test_every_cell_has_run_once_in_its_order_and_without_a_warning():
    cells = code_cells(read())
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert all(output.get("name") != "stderr" for output in outputs)
    assert all(output.output_type != "error" for output in outputs)
    assert not any(is_removed_bar(output) for output in outputs)


def test_the_file_is_small():
    assert len(NOTEBOOK.read_bytes()) < MAX_BYTES


def test_links_lead_somewhere():
    text = "\n".join(cell.source for cell in read().cells if cell.cell_type == "markdown")
    targets = re.findall(r"\]\((.+?)\)", text)
    assert targets
    assert all((NOTEBOOK.parent / target).exists() for target in targets)
