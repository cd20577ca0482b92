"""Failures that go with what is masked, and studies of very few segments."""

import re

import numpy as np
import pytest
import toys

import r2rise
from r2rise.errors import StudyError, StudyFailed
from r2rise.run.resolve import resolve
from r2rise.statistics.failures import failing_segments, failing_segments_words


def raises_without_segment_2(transitions, environment, seed, *, progress):
    if not (transitions.frame // 10 == 2).any():
        raise ValueError("this is what it starts from")
    return toys.Constant(float(len(transitions)))


def raises_with_segment_5(transitions, environment, seed, *, progress):
    if (transitions.frame // 10 == 5).any():
        raise ValueError("cannot be read")
    return toys.Constant(float(len(transitions)))


def raises_at_random(transitions, environment, seed, *, progress):
    if np.random.default_rng([seed, len(transitions)]).random() < 0.3:
        raise ValueError("bad luck")
    return toys.Constant(float(len(transitions)))


def study(algorithm, **parts) -> r2rise.Study:
    return r2rise.Study(
        environment=toys.OneStep,
        algorithm=algorithm,
        evaluation={"n_episodes": 1, "max_steps": 2},
        **{
            "budget": {"retrainings": 64, "baseline_retrainings": 0},
            "execution": {"max_failed_share": 0.9},
        }
        | parts,
    )


def about_segments(found: r2rise.ImportanceMap) -> list[str]:
    return [n.detail for n in found.warnings if n.code == "failures_follow_segments"]


@pytest.mark.parametrize("design", ["foldover", "balanced", "bernoulli"])
@pytest.mark.parametrize(
    ("algorithm", "number", "words"),
    [
        (raises_without_segment_2, 2, r"(\d+) of \1 failed without segment 2, 0 of \d+ with it"),
        (raises_with_segment_5, 5, r"0 of \d+ failed without segment 5, (\d+) of \1 with it"),
    ],
)
def test_a_segment_that_failures_go_with_is_named(demonstrations, design, algorithm, number, words):
    found = r2rise.explain(demonstrations, study(algorithm, masking={"design": design}))
    [detail] = about_segments(found)
    assert re.search(words, detail)
    assert np.isnan(found.importance[number])
    assert found.retrainings.failed >= 16


def test_failures_that_go_with_nothing_name_nothing(demonstrations):
    found = r2rise.explain(demonstrations, study(raises_at_random))
    assert found.retrainings.failed > 5
    assert about_segments(found) == []


def test_a_study_that_fails_names_it_too(demonstrations):
    asked = study(raises_without_segment_2, execution={"max_failed_share": 0.2})
    with pytest.raises(StudyFailed, match=r"starts from.*\n.*failed without segment 2, 0 of"):
        r2rise.explain(demonstrations, asked)


def test_the_test_names_segments_about_as_rarely_as_it_says():
    generator, n_named = np.random.default_rng(0), 0
    for _ in range(1000):
        kept = generator.random((96, 20)) < 0.5
        n_named += len(failing_segments(kept, generator.random(96) < 0.2)) > 0
    assert n_named <= 20


def test_many_segments_are_counted_and_none_without_failures():
    kept = np.eye(40, dtype=bool).repeat(8, axis=0)
    failed = kept[:, :6].any(axis=1)
    assert sorted(failing_segments(kept, failed)) == list(range(6))
    assert "0 of 8" not in (words := failing_segments_words(kept, failed))
    assert words.endswith("8 of 8 with it; and 3 more segments.")
    assert failing_segments_words(kept, np.zeros(320, bool)) is None
    assert failing_segments_words(kept, np.ones(320, bool)) is None


@pytest.mark.parametrize("estimator", ["difference", "ridge"])
@pytest.mark.parametrize("design", ["foldover", "balanced", "bernoulli"])
@pytest.mark.parametrize("n_segments", [2, 3])
def test_two_and_three_segments_of_one_demonstration(n_segments, design, estimator):
    asked = study(
        toys.Additive,
        masking={"design": design},
        estimator=estimator,
        execution={"max_failed_share": 0.0},
    )
    found = r2rise.explain(toys.demonstrations(1, 10 * n_segments), asked)
    worth = toys.frame_values(10 * n_segments).reshape(n_segments, 10).sum(axis=1)
    np.testing.assert_allclose(found.importance, worth, rtol=1e-3)
    empty = [n.detail for n in found.warnings if n.code == "failed_retrainings"]
    assert all(re.search(r"failed.*mask.* keeps? no frames", own) for own in empty)
    assert len(empty) == (found.retrainings.failed > 0)


@pytest.mark.parametrize(
    ("masking", "frames"),
    [
        ({"segment_length": 10}, 8),
        ({"segment_length": "all"}, 40),
        ({"segment_length": None, "boundaries": [[0]]}, 40),
    ],
)
def test_one_segment_is_refused_before_anything_is_spent(masking, frames):
    asked = study(toys.raises, masking=masking)
    with pytest.raises(
        StudyError, match=f"at least 2 segments, but all {frames} .*smaller masking.segment_le"
    ):
        resolve(asked, toys.demonstrations(1, frames))
