"""The pages of the documentation."""

import re

from places import ROOT

README = (ROOT / "README.md").read_text()
DOCS = ROOT / "docs"
PAGES = {"README.md": README} | {
    path.relative_to(DOCS).as_posix(): path.read_text() for path in sorted(DOCS.rglob("*.md"))
}
"""The README, and the pages of docs/ by their path there."""


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def programs(text: str) -> list[tuple[str, str | None]]:
    """Programs of a page, each with the output that the page shows right after it."""
    found = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", text, flags=re.DOTALL)
    return [(program, printed or None) for program, printed in found]


def without_numbers(text: str) -> str:
    return re.sub(r"[+-]?\d+(\.\d+)?", "N", text)
