"""The paper's setting on Atari, end to end, at a scale that takes seconds."""

import re

import numpy as np
import pytest
import yaml
from needs import require
from places import ROOT

import r2rise
from r2rise.algorithms.registry import load_implementation, settings_model
from r2rise_envs import needed_extra

PAGE = (ROOT / "docs" / "paper.md").read_text()

GAMES = ("Breakout", "BeamRider", "SpaceInvaders")

SMALL = {
    "bc": {"n_epochs": None, "n_updates": 8},
    "gail": {"total_steps": 32, "n_envs": 1, "n_steps": 32, "batch_size": 32, "n_epochs": 1},
    "bco": {"interactions": 32, "inverse_epochs": 1, "n_epochs": None, "n_updates": 8},
}
"""The algorithms of the paper, trained a little."""


@pytest.fixture(scope="module", params=GAMES)
def game(request) -> tuple[str, r2rise.Demonstrations]:
    """An environment, and 2 demonstrations of 200 frames in it."""
    name = f"r2rise/{request.param}-v0"
    extra = needed_extra(name)
    require(extra is None, f"{name} needs the extra {extra}")
    return name, r2rise.record(name, "random", n_demonstrations=2, max_steps=200, seed=0)


def test_the_studies_of_the_page_are_valid():
    texts = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    studies = [r2rise.Study.parse({**yaml.safe_load(text), "environment": "any"}) for text in texts]
    assert [study.algorithm.name for study in studies] == ["bc", "gail", "bco"]
    for study in studies:
        assert settings_model(load_implementation(study.algorithm))(**study.algorithm.settings)
        assert study.masking.design == "bernoulli"
        assert study.masking.frame_stack == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "algorithm", ["bc", pytest.param("gail", marks=pytest.mark.imitation), "bco"]
)
def test_the_papers_setting_on_a_small_scale(game, algorithm):
    name, demonstrations = game
    study = r2rise.Study(
        preset="paper",
        environment=name,
        algorithm={"name": algorithm, "settings": SMALL[algorithm]},
        masking={"frame_stack": 4},
        evaluation={"n_episodes": 2, "max_steps": 50},
        budget={"retrainings": 4, "baseline_retrainings": 1},
    )
    found = r2rise.explain(demonstrations, study)
    assert demonstrations.obs.shape[1:] == (84, 84, 4)
    assert len(found.importance) == sum(-(-length // 10) for length in demonstrations.lengths)
    assert (found.retrainings.done, found.retrainings.failed) == (4, 0)
    assert found.study.masking.design == "bernoulli"
    assert found.estimator.sign == "order_only"
    assert np.isfinite(found.baseline.all_frames.mean)
