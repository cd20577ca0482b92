"""Numbers that are too large or too small are refused with a reason before anything is spent."""

import os

import numpy as np
import pytest
import toys

import r2rise
from r2rise.errors import InputError, StudyError
from r2rise.limits import WORKERS_PER_PROCESSOR, check_count, check_workers, most_workers

FIELDS = {
    "environment": "toys:OneStep",
    "algorithm": "toys:Additive",
    "masking": {"segment_length": 10},
    "evaluation": {"n_episodes": 1, "max_steps": 1},
    "budget": {"retrainings": 32, "baseline_retrainings": 2},
}
STUDY = r2rise.Study.parse(FIELDS)


@pytest.fixture(scope="module")
def importance_map() -> r2rise.ImportanceMap:
    return r2rise.explain(toys.demonstrations(), STUDY)


@pytest.mark.parametrize("value", [2, 3, np.int64(2)])
def test_whole_numbers_in_the_range_pass(value):
    check_count("n", value, least=2, most=3, reason="No.")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1, "n should be a whole number from 2 to 3, got 1."),
        (4, "n should be a whole number from 2 to 3, got 4. Too many."),
        (2.0, "n should be a whole number from 2 to 3, got 2.0."),
        ("2", "n should be a whole number from 2 to 3, got '2'."),
        (None, "n should be a whole number from 2 to 3, got None."),
        (True, "n should be a whole number from 2 to 3, got True."),
    ],
)
def test_other_values_are_refused_and_a_reason_is_given_for_large_ones(value, message):
    with pytest.raises(InputError) as caught:
        check_count("n", value, least=2, most=3, reason="Too many.")
    assert str(caught.value) == message


def test_workers_are_limited_by_the_processors():
    assert most_workers() == WORKERS_PER_PROCESSOR * (os.cpu_count() or 1)
    check_workers(0)
    check_workers(most_workers())
    for workers in (-1, most_workers() + 1):
        with pytest.raises(InputError, match=f"from 0 to {most_workers()}, got {workers}"):
            check_workers(workers)


@pytest.mark.parametrize("workers", [-1, 10_000, 1.5])
@pytest.mark.parametrize("ask", ["explain", "plan", "check_training", "certify", "curate"])
def test_every_question_refuses_so_many_workers(ask, workers, importance_map):
    subject = importance_map if ask in ("certify", "curate") else STUDY
    with pytest.raises(InputError, match="workers should be a whole number"):
        getattr(r2rise, ask)(toys.demonstrations(), subject, workers=workers)


def test_a_transfer_refuses_so_many_workers(importance_map):
    maps = {"a": importance_map, "b": importance_map}
    with pytest.raises(InputError, match="workers should be a whole number"):
        r2rise.transfer(toys.demonstrations(), maps, workers=10_000)


@pytest.mark.parametrize("repetitions", [1, 0, 10**9, 2.5])
def test_repetitions_are_checked_first(repetitions, importance_map):
    message = "repetitions should be a whole number from 2 to 10000, got "
    with pytest.raises(InputError, match=message):
        r2rise.certify(toys.demonstrations(), importance_map, repetitions=repetitions)
    maps = {"a": importance_map, "b": importance_map}
    with pytest.raises(InputError, match=message):
        r2rise.transfer(toys.demonstrations(), maps, repetitions=repetitions)


@pytest.mark.parametrize("most", [0, 10**11])
def test_a_plan_is_of_a_number_of_retrainings_that_is_possible(most):
    with pytest.raises(InputError, match=f"from 1 to 1000000, got {most}"):
        r2rise.plan(toys.demonstrations(), STUDY, max_retrainings=most)


@pytest.mark.parametrize(
    ("part", "field", "most"),
    [
        ("budget", "retrainings", 1_000_000),
        ("budget", "baseline_retrainings", 1_000_000),
        ("masking", "block_size", 1_000_000),
        ("evaluation", "n_episodes", 100_000),
        ("execution", "threads", 1024),
    ],
)
def test_fields_of_a_study_have_a_largest_value(part, field, most):
    fields = {"environment": "CartPole-v1", "algorithm": "bc"}
    study = r2rise.Study.parse(fields | {part: {field: most}})
    assert getattr(getattr(study, part), field) == most
    with pytest.raises(StudyError, match=rf"{part}.{field}: should be at most {most}, got \d+\. "):
        r2rise.Study.parse(fields | {part: {field: most + 1}})


def test_an_observation_shows_no_more_frames_than_a_demonstration_has():
    longest = int(toys.demonstrations().lengths.max())
    for frames, is_too_many in ((longest, False), (longest + 1, True)):
        study = STUDY.model_copy(
            update={"masking": r2rise.Masking(segment_length=10, frame_stack=frames)}
        )
        if is_too_many:
            with pytest.raises(StudyError, match=f"got {frames}: the longest .* has {longest} fr"):
                r2rise.explain(toys.demonstrations(), study)
        else:
            r2rise.explain(toys.demonstrations(), study)


@pytest.mark.parametrize("ask", ["explain", "plan"])
def test_an_output_directory_needs_a_name(ask, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"out is empty: name a directory; '\.' is"):
        getattr(r2rise, ask)(toys.demonstrations(), STUDY, out="")
    assert list(tmp_path.iterdir()) == []
