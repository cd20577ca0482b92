"""Returns of `bc` and of `imitation-bc` over seeds, devices, and start-up."""

import numpy as np
import pytest
import toys
from needs import require
from places import CARTPOLE
from scipy.stats import ks_2samp

import r2rise
from r2rise import Demonstrations, Study
from r2rise.run.resolve import resolve
from r2rise.run.retraining import Retrainer, keep_going

N_SEEDS = 64
SHORT = {"name": "bc", "settings": {"n_updates": 70}}


def retrainer(**algorithm) -> Retrainer:
    demonstrations = Demonstrations.load(CARTPOLE)
    study = Study(environment="CartPole-v1", algorithm=algorithm, budget=128)
    return Retrainer(resolve(study, demonstrations).study, demonstrations)


@pytest.mark.slow
@pytest.mark.imitation
def test_returns_over_64_seeds_agree_in_distribution_with_imitations():
    found = {}
    for name in ("bc", "imitation-bc"):
        ours = retrainer(name=name, settings={"n_epochs": 10})
        records = ours.run(toys.shard(ours, "baseline", range(N_SEEDS)), keep_going)
        found[name] = [record.returns.mean() for record in records]
    test = ks_2samp(found["bc"], found["imitation-bc"])
    print(f"\nKolmogorov-Smirnov over {N_SEEDS} seeds: {test.statistic:.3f}, p = {test.pvalue:.3f}")
    assert test.pvalue > 0.05


def test_threads_and_company_change_no_bit():
    demonstrations = Demonstrations.load(CARTPOLE)
    found = []
    for execution in ({}, {"threads": 2}, {"shard_size": 4}):
        study = Study(environment="CartPole-v1", algorithm=SHORT, budget=128, execution=execution)
        ours = Retrainer(resolve(study, demonstrations).study, demonstrations)
        size = 4 if "shard_size" in execution else 64
        shards = [toys.shard(ours, "design", range(s, s + size)) for s in range(0, 64, size)]
        records = [record for shard in shards for record in ours.run(shard, keep_going)]
        found.append([record.returns.tolist() for record in records])
    assert found[0] == found[1] == found[2]


def test_a_failure_in_a_shard_is_each_masks_own_record(monkeypatch):
    from r2rise.algorithms.bc import algorithm

    ours = retrainer(**SHORT)
    monkeypatch.setattr(algorithm.BC, "_train", lambda *_: 1 / 0)
    records = ours.run(toys.shard(ours, "design", range(4), 2), keep_going)
    assert {record.reason.partition(" (")[0] for record in records} == {
        "ZeroDivisionError: division by zero"
    }
    assert {record.attempts for record in records} == {3}


def test_bc_on_a_gpu_gives_what_it_gives_on_a_cpu():
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU here: the same code with device=cuda is not run")
    settings = {"hidden_sizes": [64, 64], "n_epochs": 3}
    ours = [retrainer(name="bc", settings=settings | {"device": d}) for d in ("cpu", "cuda")]
    found = [one.run(toys.shard(one, "design", range(8)), keep_going) for one in ours]
    means = [[record.returns.mean() for record in records] for records in found]
    assert np.corrcoef(*means)[0, 1] > 0.9


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_the_device_is_part_of_the_resolved_study(device):
    import torch

    study = Study(
        environment="CartPole-v1", algorithm={"name": "bc", "settings": {"device": device}}
    )
    resolved = resolve(study, Demonstrations.load(CARTPOLE)).study
    expected = "cuda" if device == "auto" and torch.cuda.is_available() else "cpu"
    assert resolved.algorithm.settings["device"] == expected


@pytest.mark.parametrize(
    ("environment", "settings", "reason"),
    [
        ("CartPole-v1", {"network": "cnn"}, "network 'cnn' expects image observations"),
        ("CartPole-v1", {"n_updates": 5, "n_epochs": 5}, "give either n_updates or n_epochs"),
        ("CartPole-v1", {"device": "tpu"}, "device"),
    ],
)
def test_refused_settings(environment, settings, reason):
    study = Study(environment=environment, algorithm={"name": "bc", "settings": settings})
    with pytest.raises(r2rise.R2RiseError, match=reason):
        resolve(study, Demonstrations.load(CARTPOLE))


def test_shards_are_of_a_fixed_size_that_divides_the_block():
    demonstrations = Demonstrations.load(CARTPOLE)
    for settings, size in (({}, 64), ({"hidden_sizes": [512, 512], "n_epochs": 200}, 2)):
        algorithm = {"name": "bc", "settings": settings}
        study = resolve(Study(environment="CartPole-v1", algorithm=algorithm), demonstrations).study
        assert study.execution.shard_size == size
        assert study.masking.block_size % size == 0


def test_everything_is_required_where_asked_for(monkeypatch):
    monkeypatch.setenv("R2RISE_REQUIRE_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match="R2RISE_REQUIRE_ALL"):
        require(False, "something is missing")
