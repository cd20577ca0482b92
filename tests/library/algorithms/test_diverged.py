"""What is not a finite number fails the mask that it belongs to, and no other."""

import gymnasium as gym
import numpy as np
import pytest
import torch
import toys
from gymnasium import spaces
from places import CARTPOLE, ROOT
from quick_algorithms import QUICK

import r2rise
from r2rise import Demonstrations, Study
from r2rise.algorithms.bc import BC
from r2rise.algorithms.bc.network import Network
from r2rise.algorithms.bc.policies import NOT_FINITE, Clones
from r2rise.algorithms.bc.settings import BCSettings
from r2rise.algorithms.divergence import divergence
from r2rise.environments import Environment
from r2rise.errors import Diverged, EnvironmentMismatch, InputError, StudyFailed
from r2rise.evaluation import evaluate, evaluate_many
from r2rise.run.resolve import resolve
from r2rise.run.retraining import Retrainer, keep_going
from r2rise.study.parts import Evaluation
from r2rise.study.specs import EnvironmentSpec

N, BAD = 32, 11
DIVERGED = "training diverged: {} of {} parameters are NaN, infinite or beyond 1e+19"


class Fragile(gym.Env):
    """Pays 1 a step for 10 steps; a strong push breaks what is named, for good."""

    observation_space = spaces.Box(-9, 9, (2,), np.float32)

    def __init__(self, breaks: str = "observation", box: bool = False):
        self.action_space = spaces.Box(-1, 1, (1,), np.float32) if box else spaces.Discrete(2)
        self._breaks, self._box = breaks, box

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._time, self._broken = 0, False
        return self._observation(), {}

    def step(self, action):
        self._time += 1
        self._broken |= bool(action[0] > 0.5 if self._box else action == 1)
        reward = np.inf if self._broken and self._breaks == "reward" else 1.0
        info = {} if self._broken and self._breaks == "info" else {"success": float(self._time)}
        return self._observation(), reward, self._time >= 10, False, info

    def _observation(self):
        if self._broken and self._breaks == "observation":
            return np.full(2, np.nan, np.float32)
        return self.np_random.uniform(-1, 1, 2).astype(np.float32)


def place(spec) -> Environment:
    return Environment(EnvironmentSpec.model_validate(spec))


def fragile(breaks: str, box: bool = False) -> Environment:
    return place({"id": f"{__name__}:Fragile", "kwargs": {"breaks": breaks, "box": box}})


def clones(environment: Environment, **settings) -> Clones:
    network = Network.of(
        environment.observation_space, environment.action_space, BCSettings(**settings)
    )
    return Clones(network, np.stack([network.initial(seed) for seed in range(N)]))


def leaning(policies: Clones, bias: float) -> None:
    """Let one policy push hard, and the others not at all."""
    at = -2 if policies.network.head.kind == "gaussian" else -1  # after it is log_std
    policies.parameters[:, at] = -bias
    policies.parameters[BAD, at] = bias


def check_that_one_fails_alone(policies, environment, evaluation, kind, reason):
    found = evaluate_many(policies, environment, evaluation, 3, progress=keep_going)
    others = np.arange(N) != BAD
    alone = evaluate_many(policies[others], environment, evaluation, 3, progress=keep_going)
    assert isinstance(found[BAD], kind)
    assert reason in str(found[BAD])
    left = [scores for number, scores in enumerate(found) if number != BAD]
    np.testing.assert_array_equal(np.array(left), np.array(alone))  # to the last bit
    with pytest.raises(kind, match=r"\w"):
        evaluate(policies[BAD], environment, evaluation, 3, progress=keep_going)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -2e19])
@pytest.mark.parametrize("backend", ["batched", "gymnasium"])
@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
def test_one_policy_of_wrong_parameters_among_many(name, backend, wrong):
    environment = place(name)
    policies = clones(environment)
    policies.parameters[BAD, [0, 40, 1000]] = wrong
    evaluation = Evaluation(n_episodes=2, max_steps=25, backend=backend)
    reason = DIVERGED.format(3, policies.parameters.shape[1])
    check_that_one_fails_alone(policies, environment, evaluation, Diverged, reason)


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("backend", ["batched", "gymnasium"])
@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
def test_outputs_that_overflow_are_no_actions(name, backend, deterministic):
    environment = place(name)
    policies = clones(environment, activation="relu")
    policies.parameters[BAD] *= 1e15
    assert np.isfinite(policies.parameters).all()
    evaluation = Evaluation(
        n_episodes=2, max_steps=25, backend=backend, deterministic=deterministic
    )
    if deterministic:  # sampled actions depend on who acts beside
        reason = "the outputs of the network are not finite numbers"
        check_that_one_fails_alone(policies, environment, evaluation, Diverged, reason)
    else:
        found = evaluate_many(policies, environment, evaluation, 3, progress=keep_going)
        assert [isinstance(scores, Diverged) for scores in found] == [i == BAD for i in range(N)]


def test_a_deviation_that_overflows_is_no_action():
    environment = place("Pendulum-v1")
    policies = clones(environment)
    policies.parameters[BAD, -1] = 200.0  # its exponential is infinite
    evaluation = Evaluation(n_episodes=2, max_steps=5, deterministic=False)
    found = evaluate_many(policies, environment, evaluation, 3, progress=keep_going)
    assert [isinstance(scores, Diverged) for scores in found] == [i == BAD for i in range(N)]


@pytest.mark.parametrize("box", [False, True])
@pytest.mark.parametrize(
    ("breaks", "score", "reason"),
    [
        ("observation", "return", "returned an observation that is not finite, after 1 step"),
        ("reward", "return", "ended with the score inf, not a finite number"),
        ("info", "info:success", "info has no 'success' at the end of an episode"),
    ],
)
def test_an_environment_that_one_policy_breaks(breaks, score, reason, box):
    environment = fragile(breaks, box)
    policies = clones(environment)
    leaning(policies, 5.0)
    evaluation = Evaluation(n_episodes=2, score=score)
    check_that_one_fails_alone(policies, environment, evaluation, EnvironmentMismatch, reason)
    found = evaluate(policies[0], environment, evaluation, 3, progress=keep_going)
    assert found.tolist() == [10.0, 10.0]


def test_random_actions_need_no_observation():
    found = evaluate(None, fragile("observation"), Evaluation(n_episodes=4), 0, progress=keep_going)
    assert found.tolist() == [10.0] * 4


class EndsInNaN(gym.Env):
    """Episodes of 1 to 4 steps; the last observation, on which nobody acts, is NaN."""

    observation_space = spaces.Box(-9, 9, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._left = int(self.np_random.integers(1, 5))
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self._left -= 1
        ended = self._left == 0
        return np.full(2, np.nan if ended else 0, np.float32), 1.0, ended, False, {}


def test_an_observation_on_which_nobody_acts_may_be_anything():
    environment = place({"id": f"{__name__}:EndsInNaN"})
    evaluation = Evaluation(n_episodes=8)
    at_random = evaluate(None, environment, evaluation, 0, progress=keep_going)
    found = evaluate_many(clones(environment), environment, evaluation, 0, progress=keep_going)
    assert len(set(at_random.tolist())) > 1
    np.testing.assert_array_equal(np.array(found), np.tile(at_random, (N, 1)))


class Raises(toys.Constant):
    def predict(self, observation, *, deterministic=True):
        raise ValueError("no way")


def test_policies_of_a_black_box_fail_alone():
    policies = [toys.Constant(1.0), Raises(0), toys.Constant(np.inf), toys.Constant(2.0)]
    evaluation = Evaluation(n_episodes=2)
    found = evaluate_many(policies, place("toys:OneStep"), evaluation, 0, progress=keep_going)
    assert [found[0].tolist(), found[3].tolist()] == [[1.0, 1.0], [2.0, 2.0]]
    assert isinstance(found[1], ValueError)
    assert "actions that are not finite numbers" in str(found[2])


def retrainer(demonstrations, environment, algorithm, **study) -> Retrainer:
    asked = Study(
        environment=environment,
        algorithm=algorithm,
        budget=32,
        evaluation={"n_episodes": 2, "max_steps": 20},
        **({"masking": {"segment_length": 10}} | study),
    )
    return Retrainer(resolve(asked, demonstrations).study, demonstrations)


def cartpole() -> Demonstrations:
    return Demonstrations.load(CARTPOLE)


def pendulum() -> Demonstrations:
    every = Demonstrations.load(ROOT / "benchmarks" / "data" / "pendulum.npz")
    return every.select(keep=[r2rise.Segment(i, 0, 60) for i in range(3)])


@pytest.mark.parametrize(
    ("demonstrations", "name", "learning_rate"),
    [(cartpole, "CartPole-v1", 1e12), (pendulum, "Pendulum-v1", 100.0)],
)
def test_masks_whose_training_diverges_and_no_others_fail(demonstrations, name, learning_rate):
    demonstrations = demonstrations()
    settings = {"activation": "relu", "learning_rate": learning_rate, "n_updates": 70}
    ours = retrainer(demonstrations, name, {"name": "bc", "settings": settings})
    shard = toys.shard(ours, "design", range(N))
    kept = ours._kept_frames(shard.tasks)
    trained = BC(BC.Settings(**settings, device="cpu")).train_many(
        demonstrations, kept, place(name), shard.tasks[0].training_seed,
        threads=1, progress=keep_going,
    )  # fmt: skip
    wrong = (~(np.abs(trained.parameters) < 1e19)).sum(axis=1)
    assert 0 < (wrong > 0).sum() < N
    records = ours.run(shard, keep_going)
    n = trained.parameters.shape[1]
    for record, n_wrong in zip(records, wrong, strict=True):
        if n_wrong:
            reason = f"{DIVERGED.format(n_wrong, n)}; a smaller learning_rate may help."
            assert record.reason == f"Diverged: {reason}"
        else:
            assert record.reason in ("", f"Diverged: {NOT_FINITE}")
    fine = [shard.tasks[i] for i, record in enumerate(records) if record.status == "ok"]
    assert fine
    alone = ours._retrain_together(fine, keep_going)
    left = [record.returns for record in records if record.status == "ok"]
    np.testing.assert_array_equal(left, [record.returns for record in alone])


@pytest.mark.parametrize("settings", [{}, {"activation": "relu"}, {"validation_share": 0.2},
                                      {"activation": "relu", "validation_share": 0.2}])  # fmt: skip
@pytest.mark.parametrize(
    ("demonstrations", "name"), [(cartpole, "CartPole-v1"), (pendulum, "Pendulum-v1")]
)
def test_an_absurd_step_size_is_no_result(demonstrations, name, settings):
    algorithm = {"name": "bc", "settings": {"n_updates": 70, **settings, "learning_rate": 1e30}}
    ours = retrainer(demonstrations(), name, algorithm)
    records = ours.run(toys.shard(ours, "design", range(8)), keep_going)
    assert {record.reason.partition(":")[0] for record in records} == {"Diverged"}


def test_a_study_whose_trainings_diverge_ends_and_says_why():
    algorithm = {"name": "bc", "settings": {"n_updates": 70, "learning_rate": 1e30}}
    study = Study(environment="CartPole-v1", algorithm=algorithm, budget=128)
    with pytest.raises(StudyFailed, match="Diverged: training diverged: .* a smaller learning_ra"):
        r2rise.explain(cartpole(), study)


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": 1e30},
        {"learning_rate": 1e30, "alpha_iterations": 1, "alpha_interactions": 20},
        {"inverse_learning_rate": 1e30},
    ],
)
def test_cloning_from_observation_diverges_too(settings):
    algorithm = {"name": "bco", "settings": {**QUICK["bco"], **settings}}
    ours = retrainer(cartpole(), "CartPole-v1", algorithm)
    records = ours.run(toys.shard(ours, "design", range(4)), keep_going)
    where = "inverse model: " if "inverse_learning_rate" in settings else ""
    starts = [record.reason.startswith(f"Diverged: {where}training div") for record in records]
    assert starts == [True] * 4


class TorchChooser(torch.nn.Module):
    """Chooses by a layer; `argmax` of NaN is a choice like any other."""

    def __init__(self, wrong: float):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)
        torch.nn.init.zeros_(self.layer.weight)
        torch.nn.init.constant_(self.layer.bias, wrong)

    def predict(self, observation, *, deterministic=True):
        with torch.no_grad():
            return self.layer(torch.as_tensor(observation)).argmax(dim=1).numpy(), None


class Holds:
    """Has a network, but is none."""

    def __init__(self, network: TorchChooser):
        self.network, self.again = network, network

    def predict(self, observation, *, deterministic=True):
        return self.network.predict(observation)


def nan_chooser(transitions, environment, seed, *, progress):
    return Holds(TorchChooser(np.nan if len(transitions) % 2 else 0.0))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e20])
@pytest.mark.parametrize("wrap", [Holds, lambda network: network])
def test_parameters_of_torch_policies_are_looked_at(wrap, wrong):
    assert divergence(wrap(TorchChooser(1.0))) is None
    assert DIVERGED.format(2, 6) in str(divergence(wrap(TorchChooser(wrong))))
    assert DIVERGED.format(2, 6) in str(divergence(wrap(TorchChooser(wrong).double())))
    assert divergence(wrap(TorchChooser(1.0).half())) is None


def test_a_black_box_that_diverges_for_some_masks():
    demonstrations = toys.demonstrations()
    shown = Demonstrations(
        obs=np.repeat(demonstrations.obs, 2, axis=1),
        acts=np.arange(80) % 2,
        lengths=demonstrations.lengths,
    )
    study = {"masking": {"segment_length": 5, "keep_probability": 0.7, "design": "bernoulli"}}
    ours = retrainer(shown, {"id": f"{__name__}:Fragile"}, nan_chooser, **study)
    records = ours.run(toys.shard(ours, "baseline", range(1)), keep_going)
    assert records[0].status == "ok"
    records = ours.run(toys.shard(ours, "design", range(12)), keep_going)
    odd = [len(np.flatnonzero(kept)) % 2 == 1 for kept in ours._kept_frames(records)]
    assert 0 < sum(odd) < 12
    assert [record.reason.startswith("Diverged: ") for record in records] == odd


@pytest.mark.imitation
@pytest.mark.parametrize("name", ["imitation-bc", "gail", "airl", "sqil"])
@pytest.mark.parametrize(
    ("demonstrations", "place_name"), [(cartpole, "CartPole-v1"), (pendulum, "Pendulum-v1")]
)
def test_algorithms_of_imitation_diverge_to_failures(name, demonstrations, place_name):
    algorithm = {"name": name, "settings": {**QUICK[name], "learning_rate": 1e30}}
    ours = retrainer(demonstrations(), place_name, algorithm)
    records = ours.run(toys.shard(ours, "design", range(2)), keep_going)
    assert [record.status for record in records] == ["failed"] * 2


def test_record_takes_no_policy_that_diverged():
    with pytest.raises(InputError, match="TorchChooser .* 2 of 6 parameters are NaN"):
        r2rise.record(Fragile, TorchChooser(np.nan), n_demonstrations=1)
    assert r2rise.record(Fragile, TorchChooser(0.0), n_demonstrations=1).n_frames == 10


def test_record_takes_no_observation_that_is_no_number():
    class Pushes(toys.Constant):
        def predict(self, observation, *, deterministic=True):
            return np.ones(len(observation), int), None

    with pytest.raises(
        EnvironmentMismatch, match="returned observations that are not finite numbers"
    ):
        r2rise.record(Fragile, Pushes(1), n_demonstrations=1)
