"""The picture of a plan answers what reliability takes."""

from functools import partial

import pytest
from drawings import drawn, texts
from plans import plan
from simulation import World, mixed_effects

from r2rise import Plan
from r2rise.report.figures.plan import draw_plan


@pytest.fixture(scope="module")
def world() -> World:
    return World(mixed_effects(3))


def shown(found: Plan) -> set[str]:
    return set(texts(partial(draw_plan, found)))


def test_curves_goal_proposal_band_and_limit_are_named(world):
    found = plan(world, until={"reliability": 0.95}, max_retrainings=300)
    n = found.study.prediction.retrainings
    words = shown(found)
    assert {"retrainings", "expected reliability", "goal: 0.95", "80 % band"} <= words
    assert f"proposed: {n} retrainings" in words
    assert f"limit: {found.study.budget.retrainings} retrainings" in words
    assert {"20 segments of 10 frames", "10 segments of 20 frames"} <= words
    assert any(text.startswith("which frames are kept: ") for text in words)
    assert any(text.startswith(f"Proposed: {n} retrainings of ") for text in words)


def test_a_limit_far_beyond_is_named_only(world):
    found = plan(world, until={"reliability": 0.9})
    assert any(text.endswith("to the right of the picture") for text in shown(found))


def test_what_is_refused_is_drawn_with_what_it_would_take(world):
    found = plan(world, max_retrainings=31)
    assert found.outcome == "refused"
    words = shown(found)
    assert any(text.startswith("Refused: it would take ") for text in words)
    assert not any(text.startswith("limit") for text in words)  # not even two blocks


def test_a_pilot_that_sees_nothing_has_no_curve(world):
    found = plan(world).model_copy(update={"blur": None})
    assert "No reliability can be expected from this pilot." in shown(found)


def test_the_same_bytes_twice(world):
    draw = partial(draw_plan, plan(world))
    assert drawn(draw) == drawn(draw)
