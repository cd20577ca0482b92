"""Fail where a phrase that is not plain English has come back; part of `make check`.

    python tests/support/check_english.py

It reads what people read: documentation, messages, help, docstrings, comments and templates.
docs/style.md says how to write instead.
"""

import re
import sys
from pathlib import Path

from places import ROOT

PHRASES = {
    r"how sure that is": "how sure we can be",
    r"[Mm]end the cause": "fix the cause",
    r"(is|are) there already": "already exists",
    r"foretold": "predicted",
    r"cannot be told(?! apart)": "cannot be estimated, or: is unknown",
    r"can be told(?! apart)": "can be estimated, or: is known",
    r"(?<![Tt]here\s)is no "
    r"(model|policy|algorithm|setting|ledger|directory|dataset|number|pydantic|planted)\b":
        "is not a ...",
    r"that are no \b": "that are not",
    r"[Ww]hat came of": "the result of",
    r"\b(saved|trained|drawn|started|decide|ask|begin) anew\b": "again",
    r"in spite of that": "anyway",
    r"by `?\w+`? neither": "nor is it by ...",
    r"whoever (reaches|has|asks|reads)": "anyone who ...",
    r"[Ww]ho may\b": "access control, or: who is allowed to",
    r"knows an order only": "gives an order only",
}  # fmt: skip
"""Phrases that must not come back, and what to write instead."""

_GAP = r'\s+(?:"\s*f?")?'
"""Between two words of a phrase: also a line break, in prose or between the parts of a string."""

FOLDERS = ("r2rise", "service", "envs", "docs", "benchmarks")
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")


def files() -> list[Path]:
    """Return the files to read."""
    found = [ROOT / name for name in PAGES]
    for folder in FOLDERS:
        found += [p for p in (ROOT / folder).rglob("*") if p.suffix in (".py", ".md", ".j2")]
    return [path for path in found if path.name != "style.md"]  # it quotes what not to write


def problems(text: str) -> list[tuple[int, str, str]]:
    """Return the line, the phrase and what to write instead of each phrase in a text."""
    return [
        (text.count("\n", 0, match.start()) + 1, match[0], instead)
        for phrase, instead in PHRASES.items()
        for match in re.finditer(phrase.replace(" ", _GAP), text)
    ]


if __name__ == "__main__":
    n_problems = 0
    for path in files():
        for line, phrase, instead in problems(path.read_text()):
            n_problems += 1
            print(f"{path.relative_to(ROOT)}:{line}: {phrase!r}: write {instead!r}")
    sys.exit(min(n_problems, 1))
