"""Training with an end: a step size that falls, and parameters averaged over the last updates."""

import numpy as np
import pytest
from clones import N_FRAMES, OBSERVATIONS, SEED, example, put_parameters, trained
from gymnasium import spaces
from quick_algorithms import spec_of

from r2rise.algorithms.batch_order import epoch_batches
from r2rise.algorithms.bc import BC
from r2rise.algorithms.bc.network import Network
from r2rise.algorithms.bc.schedule import Schedule, TrainingData
from r2rise.algorithms.bc.settings import BCSettings
from r2rise.algorithms.bco import BCO
from r2rise.algorithms.bco.settings import BCOSettings
from r2rise.errors import StudyError

SPACE = spaces.Discrete(3)
ENDS = [
    {"learning_rate_decay": "linear"},
    {"average_last": 0.3},
    {"average_last": 1.0},
    {"learning_rate_decay": "linear", "average_last": 0.005},
]
LENGTHS = [{"n_updates": 61}, {"n_epochs": 7}]


def ours(how, settings, dtype=np.float64, threads=1):
    observations, actions, kept = example(SPACE)
    network = Network.of(OBSERVATIONS, SPACE, settings)
    data = TrainingData(network.features(observations), network.targets(actions), kept)
    plan = Schedule.of(kept, SEED, settings)
    initial = np.tile(network.initial(SEED).astype(dtype), (len(kept), 1))
    [found] = trained(how, network, data, plan, initial, settings, threads=threads)
    return network, found


def torchs(network, settings, kept):
    """Torch's own Adam and layers, one mask and one update after another."""
    import torch

    observations, actions, _ = example(SPACE)
    frame = np.flatnonzero(kept)
    size = min(settings.batch_size, len(frame))
    n_batches = len(frame) // size
    total = settings.n_updates or settings.n_epochs * n_batches
    model = torch.nn.Sequential(
        torch.nn.Linear(5, 32), torch.nn.Tanh(), torch.nn.Linear(32, 32), torch.nn.Tanh(),
        torch.nn.Linear(32, 3),
    ).double()  # fmt: skip
    layers = [layer for layer in model if isinstance(layer, torch.nn.Linear)]
    put_parameters(layers, network.initial(SEED))
    adam = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    passed = []
    for update in range(total):
        epoch = list(epoch_batches(frame, SEED, update // n_batches, size))
        rows = frame[epoch[update % n_batches]]
        if settings.learning_rate_decay == "linear":
            adam.param_groups[0]["lr"] = settings.learning_rate * (total - update) / total
        choices = torch.distributions.Categorical(
            logits=model(torch.as_tensor(observations[rows], dtype=torch.float64))
        )
        fit = choices.log_prob(torch.as_tensor(actions[rows])).mean()
        adam.zero_grad()
        (-fit - settings.ent_weight * choices.entropy().mean()).backward()
        adam.step()
        parts = [part for layer in layers for part in (layer.weight.T, layer.bias)]
        passed.append(np.concatenate([part.detach().numpy().ravel() for part in parts]))
    last = max(1, int(np.ceil(settings.average_last * total)))
    return np.mean(passed[-last:], axis=0)


@pytest.mark.parametrize("how", ["compiled", "stacked"])
@pytest.mark.parametrize("length", LENGTHS, ids=["updates", "epochs"])
@pytest.mark.parametrize("end", ENDS)
def test_parameters_are_those_of_torch(how, end, length):
    settings = BCSettings(**end, **length, learning_rate=3e-3, device="cpu")
    network, found = ours(how, settings)
    want = [torchs(network, settings, kept) for kept in example(SPACE)[2]]
    np.testing.assert_allclose(found, want, atol=1e-8, rtol=0)
    _, endless = ours(how, BCSettings(**length, learning_rate=3e-3, device="cpu"))
    assert (np.abs(found - endless).max(axis=1) > 1e-4).all()


@pytest.mark.parametrize("end", ENDS)
def test_neither_threads_nor_calls_change_a_bit(end, monkeypatch):
    from r2rise.algorithms.bc import compiled

    settings = BCSettings(**end, n_updates=61, device="cpu")
    _, found = ours("compiled", settings, np.float32)
    monkeypatch.setattr(compiled, "CALL_OPERATIONS", 1)
    _, again = ours("compiled", settings, np.float32, threads=2)
    assert (found == again).all()


def test_nothing_is_settled_unless_asked():
    settings = BCSettings(n_updates=10)
    plan = Schedule.of(np.ones((2, N_FRAMES), bool), SEED, settings)
    assert plan.n_averaged.tolist() == [0, 0]
    assert plan.rates(np.arange(2), 9).tolist() == [settings.learning_rate] * 2


@pytest.mark.parametrize("end", ENDS)
def test_what_has_an_end_is_not_trained_along(end):
    assert not BC(BCSettings(**end)).trains_along()
    assert not BCO(BCOSettings(**end)).trains_along()


def test_averages_do_not_go_with_early_stopping():
    both = {"average_last": 0.5, "validation_share": 0.1}
    with pytest.raises(StudyError, match="give either average_last or validation_share"):
        spec_of({"name": "bc", "settings": both})
