"""The pages of the documentation."""

import re

from places import ROOT

README = (ROOT / "README.md").read_text()
PAGES = {path.name: path.read_text() for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def without_numbers(text: str) -> str:
    return re.sub(r"[+-]?\d+(\.\d+)?", "N", text)
