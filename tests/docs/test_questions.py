"""The page of questions is run from start to end; what it shows is what comes out."""

import pytest
from pages import PAGES, blocks
from questions import bare, outputs, without_verdict
from regenerate_docs import with_output

PAGE = PAGES["questions.md"]


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> str:
    """Everything that the commands of the page print, in their order."""
    folder = tmp_path_factory.mktemp("questions")
    found = outputs(PAGE, folder)
    assert (folder / "better.npz").exists()
    assert (folder / "out" / "report.html").stat().st_size > 50_000
    return "".join(found)


LINES = [line for block in blocks(PAGE, "text") for line in block.splitlines()]


@pytest.mark.slow
def test_the_page_shows_what_the_commands_print(printed):
    known = bare(printed)
    missing = [line for line in LINES if without_verdict(bare(line)) not in known]
    assert not missing


def test_the_page_runs_every_command_that_answers():
    commands = {line.split()[1] for block in blocks(PAGE, "sh") for line in block.splitlines()}
    assert commands == {
        "check-training", "plan", "explain", "certify", "curate", "compare", "transfer", "report",
    }  # fmt: skip


def test_output_is_regenerated_line_by_line():
    page = (
        "```sh\nr2rise one\n```\n\n```text\n│ 100 │ 1.5 │\n│ 200 │ 7 │ helps │\ngone\n```\n"
        "```sh\nr2rise two\n```\n\n```text\np = 0.5\n```\n"
    )
    one = "p = 1  \n│ 200 │ 1.5 │\n│ 100 │ 9.5 │\n│ 300 │ 7 │ helps │\n│ 200 │ 8 │ hurts │\n"
    now, missing = with_output(page, [one, "p = 0.25\n"])
    assert now == (
        "```sh\nr2rise one\n```\n\n```text\n│ 100 │ 9.5 │\n│ 200 │ 8 │ hurts │\ngone\n```\n"
        "```sh\nr2rise two\n```\n\n```text\np = 0.25\n```\n"
    )
    assert missing == ["gone"]
