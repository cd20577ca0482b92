"""`r2rise explain` that stops by itself, and what it then says."""

import re
from pathlib import Path

import pytest
import toys
from commands import STUDY, known, run

from r2rise import ImportanceMap, Ledger, Study
from r2rise.errors import StudyError
from r2rise.statistics.wording import duration
from r2rise_service.cli.times import parse_seconds


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    toys.demonstrations().save(tmp_path / "demos.npz")
    (tmp_path / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)


def test_what_the_pilot_foretold_and_what_was_found():
    foretold = (
        "prediction: {reliability: 0.93, reliability_low: 0.85, reliability_high: 0.96, "
        "retrainings: 384, seconds: 3.14}\n"
    )
    Path("planned.yaml").write_text(STUDY + foretold)
    out, _ = run("explain demos.npz --study planned.yaml --out a")
    line = "Predicted by the pilot: reliability 0.93 (0.85 to 0.96) in 384 retrainings and 3.1 s; "
    assert line + "found: 1.00 in 64." in " ".join(out.split())
    out, _ = run("explain demos.npz --study planned.yaml --until reliability=0.5 --out b")
    parse_seconds = ImportanceMap.load("b").stopped.seconds
    assert line + f"found: 1.00 in 64 and {parse_seconds:.1f} s." in " ".join(out.split())


def test_until_stops_at_the_first_block_that_satisfies():
    Path("known.yaml").write_text(known(5, -3, 1, 2, 6, -1, 3, -2))
    out, _ = run("explain demos.npz --study known.yaml --retrainings 640 --out a "
                 "--until reliability=0.9 --until verdicts --max-time 2h")  # fmt: skip
    until = Study.load("a/study.yaml").until
    assert (until.reliability, until.verdicts, until.seconds) == (0.9, True, 7200)
    found = ImportanceMap.load("a")
    assert (found.stopped.reason, found.revision) == ("goal", 64)
    assert "Stopped: the goal was reached after 64 retrainings and " in out
    # going on gives the same answer, and retrains nothing
    again, _ = run("explain demos.npz --study a/study.yaml --out a")
    assert again == out


def test_max_time_stops_where_another_block_would_not_end_in_time():
    run("explain demos.npz --study study.yaml --retrainings 32 --out out")
    ledger = Ledger.load("out/ledger.npz")
    ledger.note_times({0: 1.0})
    ledger.save(Path("out/ledger.npz"))
    out, _ = run("explain demos.npz --study study.yaml --max-time 1.5s --out out")
    found = ImportanceMap.load("out")
    assert (found.stopped.reason, found.revision) == ("time", 32)
    assert f"after 32 retrainings and {found.stopped.seconds:.1f} s." in out
    assert "Warning (one_training_seed)" in out


def test_time_that_ends_before_anything_could_be_told():
    _, err = run("explain demos.npz --study study.yaml --max-time 0.000001 --out out", 1)
    text = " ".join(err.split())
    early = (
        r"Error: Time ran out after \d\.\d s, before anything could be estimated: 0 of 3 retrain"
    )
    assert re.search(early, text)
    assert "on all frames were done and 0 on masks" in text
    assert "Give more time (until.seconds" in text
    assert text.endswith("Completed retrainings are kept in out/ledger.npz.")
    out, _ = run("explain demos.npz --study study.yaml --out out")
    assert "64 of 64 retrainings" in " ".join(out.split())


def test_until_wins_over_the_study_file_and_keeps_the_rest():
    Path("until.yaml").write_text(STUDY + "until: {reliability: 0.5, seconds: 100}\n")
    run("explain demos.npz --study until.yaml --until verdicts --max-time 5m --out a")
    until = Study.load("a/study.yaml").until
    assert (until.reliability, until.verdicts, until.seconds) == (0.5, True, 300)
    run("explain demos.npz --study until.yaml --until reliability=0.75 --out b")
    until = Study.load("b/study.yaml").until
    assert (until.reliability, until.verdicts, until.seconds) == (0.75, False, 100)
    # without a budget of its own there is room to stop
    Path("no-budget.yaml").write_text("environment: toys:OneStep\nalgorithm: toys:Additive")
    run("explain demos.npz --study no-budget.yaml --until reliability=0.9 --out c")
    assert Study.load("c/study.yaml").budget.retrainings == 20_000


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("90s", 90), ("1.5 m", 90), ("2h", 7200), ("0.5", 0.5)]
)
def test_times(text, expected):
    assert parse_seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "-5", "0", "0s", "5 days", "1e3", "nan", "1h30m"])
def test_no_times(text):
    with pytest.raises(StudyError, match=f"--time should be a time such as .*got '{text}'"):
        parse_seconds(text, "--time")


def test_times_in_words():
    words = [duration(time) for time in (0.04, 3.14, 312, 7200)]
    assert words == ["0.0 s", "3.1 s", "5.2 min", "2.0 h"]
