"""Wrong fields, given in Python: StudyError in words, as from a file."""

import gymnasium as gym
import pytest
from pydantic import BaseModel, ValidationError

from r2rise import Evaluation, Masking, Study, Until
from r2rise.errors import StudyError

ID = "CartPole-v1"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Study(environment=ID, algorithn="bc"),
            "algorithn: unknown field. Did you mean 'algorithm'?",
        ),
        (lambda: Study(budget=64), "environment: is missing."),
        (
            lambda: Study(environment=ID, budget=16.5),
            "budget: Input should be a Budget or a dict of its fields: retrainings, "
            "baseline_retrainings (got 16.5)",
        ),
        (
            lambda: Study(environment=ID, until=0.9),
            "until: Input should be an Until or a dict of its fields: reliability, verdicts, "
            "seconds (got 0.9)",
        ),
        (
            lambda: Study(environment=gym.make(ID)),
            "environment: expected an id such as 'CartPole-v1', a function that makes an "
            "environment, or a dict of id, kwargs and obs_keys (got TimeLimit)",
        ),
        (
            lambda: Masking(segment_lenght=5),
            "segment_lenght: unknown field. Did you mean 'segment_length'?",
        ),
        (lambda: Masking(segment_length=None), "masking: give either segment_length or boundaries"),
        (lambda: Evaluation(n_episodes=0), "n_episodes: Input should be greater than or equal"),
        (lambda: Until(reliability=3), "reliability: Input should be less than 1 (got 3)"),
    ],
)
def test_wrong_fields_are_named(make, message):
    with pytest.raises(StudyError) as refused:
        make()
    assert f"(...) cannot be used:\n  {message}" in str(refused.value)


def test_a_part_in_a_larger_model_is_reported_with_its_place():
    class Request(BaseModel):
        study: Study

    with pytest.raises(ValidationError) as refused:
        Request.model_validate({"study": {"environment": ID, "masking": {"block_size": 0}}})
    assert [error["loc"] for error in refused.value.errors()] == [
        ("study", "masking", "block_size")
    ]
