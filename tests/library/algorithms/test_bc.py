"""Behavioural cloning of many masks at once against `imitation`, one by one."""

import warnings

import numpy as np
import pytest
from clones import OBSERVATIONS, SEED, example, put_parameters, trained
from gymnasium import spaces

from r2rise.algorithms.batch_order import epoch_batches
from r2rise.algorithms.bc import compiled
from r2rise.algorithms.bc.network import Network
from r2rise.algorithms.bc.policies import Clones
from r2rise.algorithms.bc.schedule import Schedule, TrainingData, hold_out
from r2rise.algorithms.bc.settings import BCSettings
from r2rise.algorithms.bc.stacked import Trainer
from r2rise.algorithms.bc.training import train_networks
from r2rise.errors import StudyError
from r2rise.run.retraining import keep_going

ACTION_SPACES = {
    "discrete": spaces.Discrete(3),
    "two actions": spaces.Discrete(2),
    "multidiscrete": spaces.MultiDiscrete([2, 4, 3]),
    "box": spaces.Box(-1.0, 1.0, (2,), np.float32),
}


def ours(how, action_space, settings, dtype, observation_space=OBSERVATIONS):
    observations, actions, kept = example(action_space, observation_space)
    network = Network.of(observation_space, action_space, settings)
    data = TrainingData(network.features(observations), network.targets(actions), kept)
    schedule = Schedule.of(kept, SEED, settings)
    parameters = np.tile(network.initial(SEED).astype(dtype), (len(kept), 1))
    return network, trained(how, network, data, schedule, parameters, settings, threads=2)[-1]


def imitations(network, action_space, settings, observation_space=OBSERVATIONS):
    """Train `imitation`'s BC in float64 for each mask, from our initial weights."""
    return np.array(
        [one_of_imitations(network, action_space, settings, observation_space, kept)
         for kept in example(action_space, observation_space)[2]]
    )  # fmt: skip


def one_of_imitations(network, action_space, settings, observation_space, mask):
    import torch
    from imitation.algorithms.bc import BC
    from imitation.util.logger import HierarchicalLogger
    from stable_baselines3.common.logger import Logger
    from stable_baselines3.common.policies import ActorCriticPolicy
    from stable_baselines3.common.torch_layers import FlattenExtractor

    class Double(FlattenExtractor):
        def forward(self, observations):
            return super().forward(observations).double()

    observations, actions, _ = example(action_space, observation_space)
    frame = np.flatnonzero(mask)
    size = min(settings.batch_size, len(frame))

    class Order:
        epoch = 0

        def __iter__(self):
            for batch in epoch_batches(frame, SEED, self.epoch, size):
                rows = frame[batch]
                yield {
                    "obs": torch.as_tensor(observations[rows], dtype=torch.float64),
                    "acts": torch.as_tensor(actions[rows]),
                }
            self.epoch += 1

    policy = ActorCriticPolicy(
        observation_space,
        action_space,
        lambda _: 1.0,
        features_extractor_class=Double,
        net_arch=list(settings.hidden_sizes),
        activation_fn={"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[settings.activation],
    ).double()
    layers = [m for m in policy.mlp_extractor.policy_net if isinstance(m, torch.nn.Linear)]
    layers.append(policy.action_net)
    put_parameters(layers, network.initial(SEED))
    trainer = BC(
        observation_space=observation_space,
        action_space=action_space,
        rng=np.random.default_rng(0),
        policy=policy,
        demonstrations=Order(),
        batch_size=size,
        optimizer_kwargs={"lr": settings.learning_rate},
        ent_weight=settings.ent_weight,
        l2_weight=settings.l2_weight,
        device="cpu",
        custom_logger=HierarchicalLogger(Logger(folder=None, output_formats=[])),
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad")
        trainer.train(n_epochs=settings.n_epochs, progress_bar=False)
    parts = [p for layer in layers for p in (layer.weight.T, layer.bias)]
    if network.head.kind == "gaussian":
        parts.append(policy.log_std)
    return np.concatenate([part.detach().numpy().ravel() for part in parts])


@pytest.mark.imitation
@pytest.mark.parametrize("how", ["compiled", "stacked"])
@pytest.mark.parametrize("actions", ACTION_SPACES)
@pytest.mark.parametrize(
    "changes",
    [{"n_epochs": 1}, {"activation": "relu", "l2_weight": 0.01, "hidden_sizes": (16, 8, 8)}],
    ids=["an epoch", "other settings"],
)
def test_parameters_agree_with_imitations_in_float64(how, actions, changes):
    settings = BCSettings(**{"n_epochs": 3, "ent_weight": 0.05, "device": "cpu", **changes})
    network, found = ours(how, ACTION_SPACES[actions], settings, np.float64)
    want = imitations(network, ACTION_SPACES[actions], settings)
    assert found.dtype == np.float64
    assert np.abs(want - network.initial(SEED)).max() > 1e-3
    np.testing.assert_allclose(found, want, atol=1e-8, rtol=0)


@pytest.mark.parametrize("how", ["compiled", "stacked"])
@pytest.mark.parametrize("actions", ACTION_SPACES)
def test_float32_is_float64_rounded(how, actions):
    settings = BCSettings(n_epochs=2, device="cpu")
    _, single = ours(how, ACTION_SPACES[actions], settings, np.float32)
    _, double = ours(how, ACTION_SPACES[actions], settings, np.float64)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, atol=5e-4)
    assert np.abs(single - double).mean() < 2e-6


@pytest.mark.parametrize("how", ["compiled", "stacked"])
def test_updates_instead_of_epochs(how):
    epochs = BCSettings(n_epochs=2, device="cpu")
    kept = example(spaces.Discrete(3))[2]
    n = int(Schedule.of(kept, SEED, epochs).n_updates[-1])
    updates = BCSettings(n_updates=n, device="cpu")
    assert (Schedule.of(kept, SEED, updates).n_updates == n).all()
    _, by_epochs = ours(how, spaces.Discrete(3), epochs, np.float64)
    _, by_updates = ours(how, spaces.Discrete(3), updates, np.float64)
    np.testing.assert_allclose(by_updates[-1], by_epochs[-1], atol=1e-12)
    assert np.abs(by_updates[0] - by_epochs[0]).max() > 1e-4


@pytest.mark.parametrize("how", ["compiled", "stacked"])
def test_a_mask_does_not_depend_on_the_others_in_its_batch(how):
    settings = BCSettings(n_epochs=2, device="cpu")
    space = spaces.Discrete(3)
    network, together = ours(how, space, settings, np.float64)
    observations, actions, kept = example(space)
    for i, mask in enumerate(kept):
        data = TrainingData(network.features(observations), network.targets(actions), mask[None])
        alone = np.array([network.initial(SEED).astype(np.float64)])
        schedule = Schedule.of(mask[None], SEED, settings)
        [[found]] = trained(how, network, data, schedule, alone, settings)
        if how == "compiled":
            assert (found == together[i]).all()
        else:
            np.testing.assert_allclose(found, together[i], atol=1e-9)


def test_long_training_is_done_in_calls_that_change_no_bit(monkeypatch):
    settings = BCSettings(n_epochs=4, device="cpu")
    space = spaces.Discrete(3)
    network, in_one_call = ours("compiled", space, settings, np.float32)
    an_update = 6 * 5 * settings.batch_size * network.n_products
    monkeypatch.setattr(compiled, "CALL_OPERATIONS", 3 * an_update)
    told = []
    monkeypatch.setattr("clones.keep_going", told.append)
    assert (ours("compiled", space, settings, np.float32)[1] == in_one_call).all()
    n_updates = Schedule.of(example(space)[2], SEED, settings).n_updates.max()
    assert told == [n / len(told) for n in range(1, len(told) + 1)]
    assert len(told) == -(-n_updates // 3)


def test_initial_parameters_do_not_depend_on_threads():
    import torch

    network = Network.of(OBSERVATIONS, spaces.Discrete(3), BCSettings(hidden_sizes=(256, 256)))
    found, before = [], torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(network.initial(SEED).tolist())
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert found[0] == found[1]


IMAGES = {
    "small": (spaces.Box(0, 255, (10, 10, 4), np.uint8), 1),
    "nature": (spaces.Box(0, 255, (2, 40, 40), np.uint8), 3),
}


@pytest.mark.parametrize("name", IMAGES)
def test_convolutions_equal_torchs_own(name):
    import torch
    from torch.nn import functional

    from r2rise.algorithms.bc.stacked import _layers, forward

    space, n_convolutions = IMAGES[name]
    network = Network.of(space, spaces.Discrete(3), BCSettings(hidden_sizes=(16,)))
    assert len(network.convolutions) == n_convolutions
    observations = example(spaces.Discrete(3), space)[0][:6]
    parameters = torch.as_tensor(np.stack([network.initial(s) for s in (1, 2)])).double()
    features = torch.as_tensor(network.features(observations)).double()
    found = forward(network, parameters, features.expand(2, *features.shape))
    layers = _layers(network, parameters)
    for i in range(2):
        values = features
        for convolution, (weights, biases) in zip(network.convolutions, layers, strict=False):
            kernel = (convolution.kernel, convolution.kernel)
            own = weights[i].T.reshape(convolution.channels, -1, *kernel)
            values = functional.conv2d(values, own, biases[i, 0], stride=convolution.stride).relu()
        values = values.movedim(1, -1).flatten(1)
        for weights, biases in layers[n_convolutions:-1]:
            values = torch.relu(values @ weights[i] + biases[i])
        want = values @ layers[-1][0][i] + layers[-1][1][i]
        np.testing.assert_allclose(found[i].numpy(), want.numpy(), atol=1e-12)


def test_images_are_learned():
    space = spaces.Box(0, 255, (10, 10, 2), np.uint8)
    generator = np.random.default_rng(0)
    actions = generator.integers(0, 2, 200)
    observations = generator.integers(0, 60, (200, 10, 10, 2)).astype(np.uint8)
    observations[np.arange(200), 3, 4, actions] = 255
    settings = BCSettings(n_epochs=30, hidden_sizes=(32,), device="cpu")
    network = Network.of(space, spaces.Discrete(2), settings)
    kept = np.tile(np.arange(200) < 150, (2, 1))
    data = TrainingData(network.features(observations), network.targets(actions), kept)
    schedule = Schedule.of(kept, SEED, settings)
    initial = np.tile(network.initial(SEED), (2, 1))
    [found] = Trainer(network, data, schedule, settings, "cpu").train(initial, keep_going)
    shown = np.stack([observations[150:]] * 2)
    predicted = Clones(network, found).predict_many(shown)
    assert (predicted == actions[150:]).mean() > 0.95


def test_early_stopping_keeps_the_parameters_of_lowest_validation_loss():
    settings = BCSettings(n_epochs=60, validation_share=0.3, patience=3, learning_rate=0.01,
                          device="cpu")  # fmt: skip
    space = spaces.Discrete(3)
    observations, actions, kept = example(space)
    network = Network.of(OBSERVATIONS, space, settings)
    held_out = hold_out(kept, SEED, settings.validation_share)
    assert not (held_out & ~kept).any()
    assert held_out.sum(axis=1).tolist() == [round(0.3 * n) for n in kept.sum(axis=1).tolist()]
    features, targets = network.features(observations), network.targets(actions)
    data = TrainingData(features, targets, kept & ~held_out, held_out)
    schedule = Schedule.of(data.kept, SEED, settings)
    initial = np.tile(network.initial(SEED), (len(kept), 1))
    told = []
    trainer = Trainer(network, data, schedule, settings, "cpu")
    [stopped] = trainer.train(initial, told.append)
    assert told[-1] < 1  # labels are random: every mask stops before its last epoch
    endless = BCSettings(**settings.model_dump() | {"patience": 1000})
    late = Trainer(network, data, schedule, endless, "cpu")
    [best_of_all] = late.train(initial, keep_going)
    import torch

    unstopped = TrainingData(features, targets, data.kept)
    [last] = Trainer(network, unstopped, schedule, settings, "cpu").train(initial, keep_going)
    losses = [
        late._validation_losses(torch.as_tensor(p), held_out, np.arange(len(kept)))
        for p in (last, stopped, best_of_all)
    ]
    assert (losses[1] < losses[0]).all()
    assert (losses[2] <= losses[1] + 1e-6).all()


def test_masks_that_hold_nothing_out_train_to_the_end():
    settings = BCSettings(n_epochs=20, validation_share=0.1, patience=2, device="cpu")
    observations, actions, _ = example(spaces.Discrete(3))
    network = Network.of(OBSERVATIONS, spaces.Discrete(3), settings)
    kept = np.arange(len(actions)) < np.array([[3], [30]])
    held_out = hold_out(kept, SEED, settings.validation_share)
    assert held_out.any(axis=1).tolist() == [False, True]
    data = TrainingData(
        network.features(observations), network.targets(actions), kept & ~held_out, held_out
    )
    schedule = Schedule.of(data.kept, SEED, settings)
    initial = np.tile(network.initial(SEED), (2, 1))
    [found] = Trainer(network, data, schedule, settings, "cpu").train(initial, keep_going)
    without = TrainingData(data.features, data.targets, data.kept)
    [last] = Trainer(network, without, schedule, settings, "cpu").train(initial, keep_going)
    assert (found[0] == last[0]).all()


@pytest.mark.parametrize("actions", ACTION_SPACES)
def test_policies_act_together_as_they_do_alone(actions):
    space = ACTION_SPACES[actions]
    network, parameters = ours("compiled", space, BCSettings(n_epochs=1, device="cpu"), np.float32)
    clones = Clones(network, parameters)
    observations = np.random.default_rng(1).normal(size=(len(clones), 7, 5)).astype(np.float32)
    together = clones.predict_many(observations)
    for i, clone in enumerate(clones):
        alone, _ = clone.predict(observations[i])
        np.testing.assert_allclose(alone, together[i], atol=1e-6)
        assert all(space.contains(action) for action in alone)
    sampled = clones.predict_many(np.repeat(observations[:, :1], 400, axis=1), deterministic=False)
    assert len(np.unique(sampled[0].reshape(400, -1), axis=0)) > 1


def test_discrete_observations_are_one_hot():
    network = Network.of(spaces.Discrete(4, start=2), spaces.Discrete(2, start=5), BCSettings())
    assert network.features(np.array([2, 5])).tolist() == [[1, 0, 0, 0], [0, 0, 0, 1]]
    assert network.targets(np.array([5, 6])).tolist() == [[0], [1]]
    assert network.actions(np.array([[0], [1]])).tolist() == [5, 6]


def test_spaces_of_many_choices_need_no_matrix_of_them():
    network = Network.of(spaces.Discrete(10**7), spaces.Discrete(2), BCSettings())
    assert network.features(np.array([0, 10**7 - 1]))[:, [0, -1]].tolist() == [[1, 0], [0, 1]]
    parts = Network.of(spaces.MultiDiscrete([2, 3]), spaces.Discrete(2), BCSettings())
    assert parts.features(np.array([[1, 0], [0, 2]])).tolist() == [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]


def test_masked_frames_do_not_fill_up_the_batches_of_others():
    settings = BCSettings(n_epochs=8, validation_share=0.2, activation="relu", device="cpu")
    space = ACTION_SPACES["box"]
    observations, actions, kept = example(space)
    network = Network.of(OBSERVATIONS, space, settings)
    kept[:, 0] = False
    found = []
    for first in (0, 1e25):  # in float32 its loss is infinite
        features, targets = network.features(observations), network.targets(actions)
        features[0] = first
        data = TrainingData(features, targets, kept)
        [clones] = train_networks(network, data, SEED, settings, threads=1, progress=keep_going)
        found.append(clones.parameters)
    assert (found[0] == found[1]).all()


@pytest.mark.parametrize("recorded", [bool, np.uint8, np.uint16])
@pytest.mark.parametrize("shown", [np.uint8, np.float32])
def test_images_are_scaled_as_the_environment_shows_them(recorded, shown):
    """Masks trained together see the demonstrations' own dtype, a policy the environment's."""
    space = spaces.Box(0, 255, (10, 10, 2), shown)
    network = Network.of(space, spaces.Discrete(2), BCSettings(device="cpu"))
    images = np.random.default_rng(0).integers(0, 2, (5, 10, 10, 2)).astype(recorded)
    assert (network.features(images) == network.features(images.astype(shown))).all()


def test_a_gpu_that_is_not_there_is_a_users_mistake():
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    settings = BCSettings(device="cuda", n_updates=1)
    network = Network.of(OBSERVATIONS, spaces.Discrete(3), settings)
    observations, actions, kept = example(spaces.Discrete(3))
    data = TrainingData(network.features(observations), network.targets(actions), kept)
    with pytest.raises(StudyError, match="finds no GPU here"):
        train_networks(network, data, SEED, settings, threads=1, progress=keep_going)


@pytest.mark.parametrize(
    ("shape", "high", "is_image"),
    [((5, 5, 3), 255, True), ((3, 5, 5), 255, True), ((5, 5, 3), 254, False), ((75,), 255, False)],
)
def test_an_mlp_scales_images_as_stable_baselines3_does(shape, high, is_image):
    """Its `preprocess_obs` divides images, uint8 from 0 to 255 with 3 axes, by 255."""
    space = spaces.Box(0, high, shape, np.uint8)
    network = Network.of(space, spaces.Discrete(4), BCSettings(n_updates=1, network="mlp"))
    obs = np.random.default_rng(3).integers(0, high, (7, *shape), dtype=np.uint8)
    want = obs.reshape(7, -1) / 255 if is_image else obs.reshape(7, -1)
    assert np.allclose(network.features(obs), want, rtol=1e-6)
    assert network.features(obs).dtype == np.float32
