"""The command line on real demonstrations, the whole way."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import run
from places import CARTPOLE

from r2rise import Certificate, Comparison, Curation, Demonstrations, ImportanceMap, Study, Transfer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def explained(tmp_path_factory) -> tuple[Path, str]:
    """A folder with the output directory `out`, and what was printed."""
    folder = tmp_path_factory.mktemp("cartpole")
    printed, _ = run(
        f"explain {CARTPOLE} --env CartPole-v1 --retrainings 384 --until reliability=0.9 "
        f"--max-time 5m --out {folder}/out"
    )
    return folder, " ".join(printed.split())


@pytest.fixture
def folder(explained, tmp_path, monkeypatch) -> Path:
    shutil.copytree(explained[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_explain_stops_at_the_reliability_asked_for(explained):
    folder, printed = explained
    study, found = Study.load(folder / "out" / "study.yaml"), ImportanceMap.load(folder / "out")
    assert (study.until.reliability, study.until.seconds) == (0.9, 300)
    assert found.stopped.reason == "goal"
    assert found.quality.reliability >= 0.9
    assert found.revision in (256, 384)
    assert f"the goal was reached after {found.revision} retrainings and " in printed
    verdicts = found.verdicts
    assert verdicts.count("helps") > 5
    assert verdicts.count("hurts") > 5
    assert (
        f"Verdicts: {verdicts.count('helps')} help, {verdicts.count('hurts')} hurt, "
        f"{verdicts.count('negligible')} are negligible (within +-{verdicts.margin:.3g}) and "
        f"{verdicts.n_unresolved} are unresolved. About {max(128, verdicts.more_for_half)} more "
        f"retrainings would resolve half of the {verdicts.n_unresolved} unresolved segments, about "
        f"{verdicts.more_for_all} all of them."
    ) in printed
    best = int(np.argmax(found.importance))
    lower, upper = verdicts.lower[best], verdicts.upper[best]
    assert f"│ {found.importance[best]:+.2f} │ {lower:+.2f} to {upper:+.2f} │ helps │" in printed


def test_the_map_is_certified(folder):
    out, _ = run("certify out --check")
    assert "Pass:" in out
    found = Certificate.load("out")
    assert found.area_top_bottom.lower > 0.25 * found.baseline.gain
    assert [level.n_segments for level in found.levels] == [5, 15, 25, 35, 45]


def transitions(demonstrations: Demonstrations) -> list[tuple[bytes, bytes, bytes]]:
    """Observation, action and next observation of every frame."""
    found, frame, row = [], 0, 0
    for length in demonstrations.lengths.tolist():
        obs, acts = demonstrations.obs[row : row + length + 1], demonstrations.acts[frame:]
        found += [
            (obs[t].tobytes(), acts[t].tobytes(), obs[t + 1].tobytes()) for t in range(length)
        ]
        frame, row = frame + length, row + length + 1
    return found


def test_curate_gains_and_no_transition_bridges_a_cut(folder):
    out, _ = run("curate out --out better.npz")
    found = Curation.load("out")
    assert found.outcome == "gain"
    assert found.confirmation.gain.lower > 50
    assert found.confirmation.gain_over_random.lower > 50
    assert "Gain: without" in out
    whole, better = Demonstrations.load(CARTPOLE), Demonstrations.load("better.npz")
    dropped = np.zeros(whole.n_frames, dtype=bool)
    for edit in found.edits:
        first = whole.first_frame[edit.demonstration]
        dropped[first + edit.start : first + edit.stop] = True
    kept = [own for own, gone in zip(transitions(whole), dropped, strict=True) if not gone]
    assert transitions(better) == kept


def test_compare_and_transfer_with_a_shorter_training(folder):
    Path("short.yaml").write_text(
        "environment: CartPole-v1\nalgorithm: {name: bc, settings: {n_updates: 150}}\nbudget: 256\n"
    )
    run(f"explain {CARTPOLE} --study short.yaml --out short")
    out, _ = run("compare out short --out comparison.json")
    found = Comparison.load("comparison.json")
    assert found.spearman.upper < 0.5  # training turns the map over
    assert f"Top 10 in common: {found.top.share:.0%} (by chance 20%, p = " in out
    run("transfer out short --repetitions 5")
    matrix = Transfer.load("out")
    assert matrix.names == ("out", "short")
    assert matrix.cell("out", "out").share > 0.25
