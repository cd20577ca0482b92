"""The loop end to end: known answers, crashes, resuming, extending, refusing."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import toys
from killed_runs import run_killed_twice, run_whole
from places import CARTPOLE

import r2rise
from r2rise import ImportanceMap, Ledger, Study
from r2rise.design.tasks import study_tasks
from r2rise.errors import LedgerError, StudyFailed
from r2rise.ledger.record import EMPTY_MASK
from r2rise.run.shards import missing_shards


def without_time(found: ImportanceMap) -> str:
    fields = json.loads(found.to_json())
    del fields["created_at"]
    return json.dumps(fields)


TIMES = ("seconds", "evaluation_seconds", "attempts")


def returns(path: Path) -> list[dict]:
    ledger = Ledger.load(path)
    kinds = ("random_policy", "baseline", "design")
    records = [record.to_json() for kind in kinds for record in ledger.records(kind)]
    return [
        {name: value for name, value in record.items() if name not in TIMES} for record in records
    ]


def segment_worth() -> np.ndarray:
    return toys.frame_values(toys.N_DEMOS * toys.LENGTH).reshape(-1, 10).sum(axis=1)


def test_the_map_is_what_the_segments_are_worth(demonstrations, study):
    found = r2rise.explain(demonstrations, study)
    np.testing.assert_allclose(found.importance, segment_worth(), atol=1e-9)
    np.testing.assert_allclose(found.std_error, 0, atol=1e-9)
    assert found.quality.reliability == pytest.approx(1.0)
    assert found.quality.equal_importance_p == 0.001
    assert found.baseline.all_frames.mean == pytest.approx(segment_worth().sum())
    assert found.baseline.all_frames.n_retrainings == 3
    assert (found.retrainings.done, found.retrainings.failed, found.partial) == (64, 0, False)
    assert found.study.masking.design == "foldover"
    assert found.estimator.name == "difference"
    assert found.n_kept.tolist() == [32] * 8


@pytest.mark.slow
@pytest.mark.parametrize("design", ["balanced", "bernoulli"])
@pytest.mark.parametrize("p", [0.2, 0.8])
@pytest.mark.parametrize("estimator", ["ridge", "difference"])
def test_other_designs_find_the_same(demonstrations, study, design, p, estimator):
    masking = {"design": design, "keep_probability": p, "block_size": 32}
    asked = study.model_copy(update={"masking": r2rise.Masking(**masking), "estimator": estimator})
    found = r2rise.explain(demonstrations, asked)
    np.testing.assert_allclose(found.importance, segment_worth(), atol=1e-2)


def test_a_real_environment_with_a_known_answer():
    """A learner that remembers turns: the importance of a frame is its junction's reward."""

    def remember(transitions, environment, seed, *, progress):
        class Memory:
            turns = {tuple(o): a for o, a in zip(transitions.obs, transitions.acts, strict=True)}

            def predict(self, observation, *, deterministic=True):
                wrong = [1 - (1 - int(o.argmax()) % 2) for o in observation]
                known = [
                    self.turns.get(tuple(o), w) for o, w in zip(observation, wrong, strict=True)
                ]
                return np.array(known), None

        return Memory()

    weights = (1.0, 9.0, 2.0, 5.0)
    demos = r2rise.Demonstrations(
        obs=np.vstack([np.eye(4), np.zeros((1, 4))]).astype(np.float32),
        acts=np.array([1, 0, 1, 0]),
        lengths=np.array([4]),
    )
    asked = Study(
        environment={"id": "r2rise/Junctions-v0", "kwargs": {"weights": list(weights)}},
        algorithm=remember,
        masking={"segment_length": 1},
        budget={"retrainings": 32, "baseline_retrainings": 1},
    )
    found = r2rise.explain(demos, asked)
    # the one empty mask of each block fails, and least squares takes over
    np.testing.assert_allclose(found.importance, weights)
    assert found.retrainings.failed == 2
    assert found.warnings[-1].code == "failed_retrainings"


def test_the_output_directory_holds_all_that_is_needed(demonstrations, study, tmp_path):
    found = r2rise.explain(demonstrations, study, out=tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()} - {"ledger.npz.lock"}
    assert names == {
        "study.yaml", "demonstrations.npz", "ledger.npz", "map.json", "map.csv", "map.png"
    }  # fmt: skip
    assert ImportanceMap.load(tmp_path / "out").to_json() == found.to_json()
    saved = Study.load(tmp_path / "out" / "study.yaml")
    assert saved.model_dump_json() == found.study.model_dump_json()
    again = r2rise.Demonstrations.load(tmp_path / "out" / "demonstrations.npz")
    assert again.content_hash == demonstrations.content_hash
    recomputed = r2rise.importance_map(Ledger.load(tmp_path / "out" / "ledger.npz"), saved)
    assert without_time(recomputed) == without_time(found)


def test_nothing_is_retrained_twice_and_a_larger_budget_extends(demonstrations, study, tmp_path):
    out = tmp_path / "out"
    told = []
    r2rise.explain(demonstrations, study, out=out, progress=told.append)
    assert (told[-1].done, told[-1].total, told[-1].resumed) == (68, 68, 0)
    told.clear()
    r2rise.explain(demonstrations, study, out=out, progress=told.append)
    assert told == []
    more = study.model_copy(
        update={"budget": r2rise.Budget(retrainings=96, baseline_retrainings=3)}
    )
    found = r2rise.explain(demonstrations, more, out=out, progress=told.append)
    assert (told[-1].done, told[-1].total, told[-1].resumed) == (100, 100, 68)
    assert without_time(found) == without_time(r2rise.explain(demonstrations, more))
    # the smaller study's map still comes from the same ledger
    assert r2rise.explain(demonstrations, study, out=out).retrainings.done == 64


def test_another_design_is_refused(demonstrations, study, tmp_path):
    r2rise.explain(demonstrations, study, out=tmp_path)
    other = study.model_copy(update={"seed": 5})
    with pytest.raises(LedgerError, match="seed: the ledger has 0, but this study has 5"):
        r2rise.explain(demonstrations, other, out=tmp_path)


@pytest.mark.parametrize("workers", [2, pytest.param(1, marks=pytest.mark.slow)])
def test_the_same_map_whatever_the_number_of_workers(demonstrations, study, tmp_path, workers):
    for name, n in (("none", 0), ("some", workers)):
        r2rise.explain(demonstrations, study, out=tmp_path / name, workers=n)
    assert same_map_and_ledger(tmp_path, "none", "some")


SLOW_STUDY = """
environment: toys:OneStep
algorithm: {name: "toys:Additive", settings: {seconds: 0.03, seed_noise: 1.0}}
evaluation: {n_episodes: 2}
budget: {retrainings: 64, baseline_retrainings: 3}
"""


def same_map_and_ledger(folder: Path, *names: str) -> bool:
    maps = {without_time(ImportanceMap.load(folder / name)) for name in names}
    ledgers = [returns(folder / name / "ledger.npz") for name in names]
    return len(maps) == 1 and all(ledger == ledgers[0] for ledger in ledgers)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_killed_twice_ends_with_the_same_map(tmp_path, workers):
    toys.demonstrations().save(tmp_path / "demos.npz")
    (tmp_path / "study.yaml").write_text(SLOW_STUDY)
    run_whole(tmp_path, "whole", workers)
    run_killed_twice(tmp_path, "killed", workers, (10, 40))
    assert same_map_and_ledger(tmp_path, "whole", "killed")


def test_a_study_whose_retrainings_fail_ends_with_the_reason(demonstrations, study):
    failing = study.model_copy(update={"algorithm": Study(
        environment="x", algorithm=toys.raises).algorithm})  # fmt: skip
    with pytest.raises(StudyFailed, match=r"retrainings on all frames failed.*\n.*no way"):
        r2rise.explain(demonstrations, failing)


def test_some_failures_are_counted_shown_and_left_out(demonstrations, study, tmp_path):
    asked = Study.parse(
        study.model_dump() | {
            "environment": toys.OneStep,
            "algorithm": toys.raises_on_few_frames,
            "execution": {"max_failed_share": 0.6},
            "masking": {"design": "bernoulli", "block_size": 1},
            "budget": {"retrainings": 96, "baseline_retrainings": 3},
        }
    )  # fmt: skip
    found = r2rise.explain(demonstrations, asked, out=tmp_path)
    assert 0 < found.retrainings.failed < 96
    assert int(found.n_kept[0] + found.n_masked[0]) == 96 - found.retrainings.failed
    codes = {notice.code for notice in found.warnings}
    assert {"failed_retrainings", "failures_follow_frames_kept"} <= codes
    ledger = Ledger.load(tmp_path / "ledger.npz")
    failed = [r for r in ledger.records("design") if r.status == "failed"]
    raised = {r.index for r in failed if r.reason.startswith("ValueError: too few frames")}
    assert {r.reason for r in failed if r.index not in raised} <= {EMPTY_MASK}
    # what failed is tried again by the next run, as whole shards
    shards = list(missing_shards(ledger, found.study, study_tasks(found.study, 8)))
    assert raised <= {task.index for shard in shards for task in shard.tasks}
    assert {shard.attempts for shard in shards} == {1}


@pytest.mark.slow
def test_only_the_retrainings_that_kill_their_worker_fail(demonstrations, study, tmp_path):
    asked = Study.parse(
        study.model_dump() | {
            "environment": toys.OneStep,
            "algorithm": toys.dies_without_first_frame,
            "execution": {"max_failed_share": 1.0},
            "masking": {"segment_length": 10, "design": "bernoulli", "block_size": 1},
            "budget": {"retrainings": 12, "baseline_retrainings": 1},
            "estimator": "rise",
        }
    )  # fmt: skip
    found = r2rise.explain(demonstrations, asked, workers=2, out=tmp_path)
    records = Ledger.load(tmp_path / "ledger.npz").records("design")
    first_kept = [bool(record.packed_mask[0] & 0x80) for record in records]
    assert 0 < sum(first_kept) < 12
    assert [record.status == "ok" for record in records] == first_kept
    assert {r.reason for r in records} == {"", "worker_died: exit status -9; out of memory?"}
    assert found.retrainings.failed == 12 - sum(first_kept)


def test_own_segments_and_whole_demonstrations(demonstrations, study):
    own = r2rise.Masking(segment_length=None, boundaries=((0, 13), (0, 2, 30)))
    found = r2rise.explain(demonstrations, study.model_copy(update={"masking": own}))
    values = toys.frame_values(80)
    edges = [(0, 13), (13, 40), (40, 42), (42, 70), (70, 80)]
    np.testing.assert_allclose(found.importance, [values[a:b].sum() for a, b in edges], atol=1e-8)
    whole = study.model_copy(update={"masking": r2rise.Masking(segment_length="all")})
    found = r2rise.explain(demonstrations, whole)
    np.testing.assert_allclose(found.importance, [values[:40].sum(), values[40:].sum()], atol=1e-8)


def test_success_rate_as_the_score(demonstrations, study):
    scored = r2rise.Evaluation(n_episodes=2, score="info:success")
    found = r2rise.explain(demonstrations, study.model_copy(update={"evaluation": scored}))
    assert found.estimator.unit == "info:success"
    assert set(np.round(found.importance * 32) % 1) == {0.0}


REAL_STUDY = (
    "environment: CartPole-v1\nbudget: {retrainings: %d}\n"
    "algorithm: {name: imitation-bc, settings: {n_epochs: 10}}\n"
)


@pytest.mark.slow
@pytest.mark.imitation
@pytest.mark.parametrize(("retrainings", "reliability"), [(128, 0.4), (384, 0.8)])
def test_real_demonstrations_give_the_same_map_whatever_happens(tmp_path, retrainings, reliability):
    demos = r2rise.Demonstrations.load(CARTPOLE.with_name("cartpole-0-4.npz"))
    demos.save(tmp_path / "demos.npz")
    (tmp_path / "study.yaml").write_text(REAL_STUDY % retrainings)
    for workers in (0, 1, 2):
        run_whole(tmp_path, str(workers), workers)
    run_killed_twice(tmp_path, "killed", 2, (retrainings // 4, retrainings // 2))
    assert same_map_and_ledger(tmp_path, "0", "1", "2", "killed")
    found = ImportanceMap.load(tmp_path / "2")
    assert found.quality.equal_importance_p < 0.05
    assert found.quality.reliability > reliability
    assert found.baseline.all_frames.mean > found.baseline.random_policy.mean + 30


@pytest.mark.slow
def test_a_script_without_the_main_guard_is_told_so(tmp_path):
    (tmp_path / "script.py").write_text(
        "import r2rise\n"
        "study = r2rise.Study(environment='CartPole-v1', budget=32)\n"
        f"r2rise.explain({str(CARTPOLE)!r}, study, workers=1)\n"
    )
    found = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert found.returncode == 1
    assert "put the call under if __name__ == '__main__'" in found.stderr.splitlines()[-1]
