"""The notebook of the examples: executed as a reader does, and written with its outputs.

    python tests/support/notebook.py

writes `examples/tour.ipynb`.
"""

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from places import ROOT

NOTEBOOK = ROOT / "examples" / "tour.ipynb"
SECONDS = 1800
"""Time for a cell, on a machine that is busy."""


def read() -> NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def executed(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Execute a notebook in a folder; nothing in it says when, where or how long."""
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
    )
    client.execute()
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in code_cells(notebook):
        cell.outputs = [output for output in cell.outputs if not is_removed_bar(output)]
    return notebook


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def is_removed_bar(output: NotebookNode) -> bool:
    """Whether an output is what a progress bar leaves."""
    return output.get("data") == {"text/plain": ""}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        nbformat.write(executed(read(), Path(scratch)), NOTEBOOK)
