import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import toys
from commands import STUDY, known, run
from places import DATA, child_environment
from terminals import terminal

from r2rise import ImportanceMap, Ledger, Plan, Study


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    toys.demonstrations().save(tmp_path / "demos.npz")
    (tmp_path / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_explain_says_what_a_user_wants_to_know(folder):
    out, err = run("explain demos.npz --study study.yaml --out out")
    assert "64 retrainings can resolve (of 8 segments)" in err
    assert "8 segments, 64 of 64 retrainings (0 failed), design foldover" in " ".join(out.split())
    assert "Are all frames equally important? No, they differ (p = 0.001)." in out
    assert "Reliability of the ranking: 1.00 of 1" in out
    assert "Most helpful: 5 segments of positive importance" in out
    assert "Most harmful: 3 segments of negative importance" in out
    # random actions lose half a million here, so that whatever frames are worth is negligible
    assert "0 help, 0 hurt, 8 are negligible (within +-1.15e+04) and 0 are unresolved" in out
    assert "more retrainings" not in out
    assert "Stopped" not in out
    assert "┃ 95 % interval ┃" in " ".join(out.split())
    assert "Written to out" in out


def test_verdicts_are_those_of_the_known_importance(folder):
    worths = (5.0, -3.0, 1.0, 2.5, 6.0, -1.0, 0.5, -2.0)
    Path("known.yaml").write_text(known(*worths))
    out, _ = run("explain demos.npz --study known.yaml --out out")
    assert "5 help, 3 hurt, 0 are negligible (within +-0.18) and 0 are unresolved." in out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines()]
    shown = {(row[0], row[1]): row[2:] for row in rows if len(row) == 5}
    assert shown == {
        (str(i // 4), f"{i % 4 * 10}-{i % 4 * 10 + 9}"): [
            f"{value:+.3f}",
            f"{value:+.3f} to {value:+.3f}",
            "helps" if value > 0 else "hurts",
        ]
        for i, value in enumerate(worths)
    }


def test_a_weak_policy_has_no_verdicts_and_says_so_first(folder):
    """With this seed random actions gain more than all frames."""
    out, _ = run("explain demos.npz --study study.yaml --seed 1 --out out")
    assert out.startswith("Warning (weak_policy): Trained on all frames the policy returns")
    assert "Verdicts: none, since " in out


def test_a_map_without_verdicts_is_shown_with_standard_errors(folder):
    out, _ = run(f"show {DATA}/importance_map-1.0.json")
    assert "std error" in out
    assert "interval" not in out
    assert "Verdicts: none, since " in out


def test_options_win_over_the_study_file(folder):
    run("explain demos.npz --study study.yaml --seed 7 --segment-length 20 --out a")
    study = Study.load("a/study.yaml")
    assert (study.seed, study.masking.segment_length) == (7, 20)
    assert study.algorithm.settings == {"seed_noise": 1.0, "seconds": 0.0}
    run("explain demos.npz --study study.yaml --segment-length all --out b")
    assert Study.load("b/study.yaml").masking.segment_length == "all"
    Path("own.csv").write_text("demonstration,start,stop\n0,0,9\n0,9,40\n1,0,40\n")
    run("explain demos.npz --study study.yaml --segments own.csv --out c")
    assert Study.load("c/study.yaml").masking.boundaries == ((0, 9), (0,))
    # a map's own table names its segments
    run("explain demos.npz --study study.yaml --segments c/map.csv --out d")
    assert Study.load("d/study.yaml").masking == Study.load("c/study.yaml").masking
    run("explain demos.npz --study c/study.yaml --segment-length all --out e")
    masking = Study.load("e/study.yaml").masking
    assert (masking.boundaries, masking.segment_length) == (None, "all")


def test_short_forms_in_a_study_file_can_be_added_to(folder):
    Path("short.yaml").write_text(
        "environment: toys:OneStep\nalgorithm: toys:Additive\nbudget: 32\nestimator: ridge"
    )
    run("explain demos.npz --study short.yaml --retrainings 64 --out out")
    study = Study.load("out/study.yaml")
    assert (study.budget.retrainings, study.estimator) == (64, "ridge")


def test_preset_paper(folder):
    run("explain demos.npz --env toys:OneStep --algorithm toys:Additive --preset paper "
        "--retrainings 50 --out out")  # fmt: skip
    study = Study.load("out/study.yaml")
    masking = study.masking
    assert (masking.design, masking.block_size, masking.segment_length) == ("bernoulli", 1, 10)
    assert (study.estimator, study.evaluation.epsilon, study.budget.retrainings) == (
        "rise",
        0.1,
        50,
    )
    seeds = {r.training_seed for r in Ledger.load("out/ledger.npz").records("design")}
    assert len(seeds) == 50


def test_ledger_elsewhere_and_resumed(folder):
    run("explain demos.npz --study study.yaml --ledger kept/l.npz --out a")
    assert not Path("a/ledger.npz").exists()
    assert len(Ledger.load("kept/l.npz")) == 68
    run("explain demos.npz --study a/study.yaml --ledger kept/l.npz --out b")
    assert (
        json.loads(Path("a/map.json").read_text())["importance"]
        == (json.loads(Path("b/map.json").read_text())["importance"])
    )


def test_another_estimator_needs_no_retraining(folder):
    run("explain demos.npz --study study.yaml --out out")
    before = Ledger.load("out/ledger.npz").records("design")[5].seconds
    run("explain demos.npz --study study.yaml --estimator rise --out out")
    assert Ledger.load("out/ledger.npz").records("design")[5].seconds == before
    assert ImportanceMap.load("out").estimator.sign == "order_only"


def test_json_on_standard_output_and_talk_on_standard_error(folder):
    out, _ = run("explain demos.npz --study study.yaml --out out --json")
    assert json.loads(out) == json.loads(Path("out/map.json").read_text())
    shown, _ = run("show out --json")
    assert shown == Path("out/map.json").read_text()


def test_show_and_compare(folder):
    run("explain demos.npz --study study.yaml --out a")
    run("explain demos.npz --study study.yaml --seed 1 --estimator ridge --out b")
    out, _ = run("show a/map.json --top 2")
    assert "Most helpful: 2 of 5 segments of positive importance" in out
    best = int(np.argmax(ImportanceMap.load("a").importance))
    assert f"{best % 4 * 10}-{best % 4 * 10 + 9}" in out
    out, _ = run("compare a b --top 3")
    assert "Spearman: 1.000" in out
    assert "Top 3 in common: 100% (by chance 38%" in out
    out, _ = run("compare a b --top 3 --json")
    assert json.loads(out)["top"]["share"] == 1.0


def test_a_refused_plan_ends_with_a_status_and_without_a_proposal(folder):
    out, _ = run("plan demos.npz --study study.yaml --until verdicts --out out")
    assert Study.load("out/plan.yaml").until.verdicts
    assert "Continue with" in out
    assert "and a verdict on every segment" in out
    out, _ = run("plan demos.npz --study study.yaml --max-retrainings 20 --out out", 1)
    assert "Refused: the limits allow no ranking of these segments." in " ".join(out.split())
    assert "Continue with" not in out
    assert not Path("out/plan.yaml").exists()
    assert Plan.load("out").outcome == "refused"
    out, _ = run("plan demos.npz --study study.yaml --max-retrainings 20 --out out --json", 1)
    assert Plan.model_validate_json(out).outcome == "refused"


def test_algorithms_and_environments():
    out, _ = run("algorithms")
    assert "bc\n  n_updates = null" in out
    assert "imitation-bc" in out
    out, _ = run("algorithms --json")
    assert json.loads(out)["imitation-bc"]["properties"]["n_updates"]["default"] is None
    out, _ = run("environments cartpole")
    assert {"CartPole-v0", "CartPole-v1"} <= set(out.split())
    assert all("cartpole" in name.lower() for name in out.split())
    out, _ = run("environments junctions --json")
    assert json.loads(out) == ["r2rise/Junctions-v0"]


SLOW = STUDY.replace("seed_noise: 1.0", "seconds: 0.1")
EXPLAIN = "explain demos.npz --study slow.yaml --out out"


def command_line(command: str) -> list[str]:
    return [sys.executable, "-c", "from r2rise_service.cli import main; main()", *command.split()]


def environment() -> dict[str, str]:
    return child_environment(TERM="xterm", COLUMNS="120")


def interrupted(command: str) -> str:
    """Run a command until 7 retrainings are kept, press Ctrl-C, and return what it said."""
    with subprocess.Popen(
        command_line(command), stderr=subprocess.PIPE, text=True, start_new_session=True,
        env=environment(),
    ) as process:  # fmt: skip
        journal = Path("out/ledger.npz.journal")
        deadline = time.monotonic() + 60
        while not journal.exists() or journal.read_text().count('"kind"') < 7:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize("workers", ["0", pytest.param("2", marks=pytest.mark.slow)])
def test_ctrl_c_keeps_what_was_retrained(folder, workers):
    Path("slow.yaml").write_text(SLOW)
    err = interrupted(f"{EXPLAIN} --workers {workers}")
    assert "Stopped. Completed retrainings are kept" in err
    assert 7 <= len(Ledger.load("out/ledger.npz")) < 68


@pytest.mark.slow
def test_ctrl_c_keeps_what_certify_retrained(folder):
    Path("slow.yaml").write_text(SLOW.replace("0.1", "0.02"))
    run(EXPLAIN)
    assert "Stopped. Completed retrainings are kept" in interrupted("certify out")
    assert 68 + 7 <= len(Ledger.load("out/ledger.npz")) < 68 + 400
    assert not Path("out/certificate.json").exists()


def on_a_terminal(command: str) -> str:
    """Run a command and return what it shows on standard error."""
    with terminal() as (fd, shown):
        process = subprocess.Popen(
            command_line(command), stdout=subprocess.DEVNULL, stderr=fd, env=environment()
        )
    assert process.wait() == 0
    return shown[0]


@pytest.mark.slow
def test_progress_bar_with_rate_and_time_left_on_a_terminal(folder):
    Path("slow.yaml").write_text(SLOW.replace("64", "32").replace("0.1", "0.03"))
    text = on_a_terminal(f"{EXPLAIN} --until verdicts")
    for piece in ("Retraining", "/36", "/s", "left at most", "0:00:0"):
        assert piece in text


@pytest.mark.slow
def test_progress_bar_starts_anew_with_each_stage(folder):
    Path("slow.yaml").write_text(SLOW.replace("0.1", "0.003"))
    run(EXPLAIN)
    text = on_a_terminal("curate out --out better.npz")
    for piece in ("Curating", "/s", "left"):
        assert piece in text
    assert "at most" not in text
    # 16 repetitions of all frames and 3 trials, then 40 of two arms and of random drops
    assert 0 < text.index("/64") < text.index("/80") < text.index("/40")


def test_a_reader_that_has_enough_is_no_error():
    command = command_line("environments")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1
