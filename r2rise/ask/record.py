"""Recording of demonstrations from a policy and an environment."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from r2rise.algorithms.base import Policy
from r2rise.algorithms.divergence import divergence
from r2rise.ask.demonstrators import to_policy
from r2rise.ask.pictures import small_picture
from r2rise.data.checks import MAX_DEMONSTRATIONS
from r2rise.data.demonstrations import Demonstrations
from r2rise.data.keys import warn_of_flattened
from r2rise.design.seeds import episode_seeds, seeded_globals
from r2rise.environments import Environment, failures_of
from r2rise.errors import EnvironmentMismatch, InputError, StudyError
from r2rise.evaluation.actions import RandomActionSource, checked_actions
from r2rise.evaluation.rollout import max_steps
from r2rise.observations import GymEnv, in_space
from r2rise.run.progress import OnProgress, Progress
from r2rise.run.progress_bar import shown
from r2rise.study.parts import Evaluation, StudyPart
from r2rise.study.specs import EnvironmentSpec
from r2rise.study.validation import describe

AnyEnvironment = str | dict[str, Any] | EnvironmentSpec | Environment | Callable[..., GymEnv]


class _Recording(StudyPart):
    """How demonstrations are recorded: the arguments of `record`, checked."""

    n_demonstrations: int = Field(ge=1, le=MAX_DEMONSTRATIONS)
    max_steps: int | None = Field(ge=1)
    stochastic: bool
    seed: int = Field(ge=0, lt=2**63)
    pictures: int | None = Field(ge=1)
    worse_share: float = Field(ge=0, le=1)
    worse_epsilon: float = Field(ge=0, le=1)


class _Episode(NamedTuple):
    obs: NDArray[Any]
    acts: NDArray[Any]
    rews: NDArray[np.float64]
    terminal: bool
    frames: NDArray[np.uint8] | None


def record(  # noqa: PLR0913  (the settings of a recording are arguments)
    environment: AnyEnvironment,
    policy: Policy | str,
    *,
    n_demonstrations: int,
    max_steps: int | None = None,
    stochastic: bool = False,
    seed: int = 0,
    pictures: int | None = None,
    worse_share: float = 0.0,
    worse_epsilon: float = 0.5,
    progress: bool | OnProgress = False,
) -> Demonstrations:
    """Record demonstrations of a policy; the same seed gives the same demonstrations.

    Args:
        environment: A gymnasium id, the `environment` part of a study, or a function that makes
            an environment.
        policy: An object with `predict(observations, deterministic=True) -> (actions, state)`, or
            its source: `random`, a trusted model file of Stable-Baselines3 (`.zip`), or
            `module:policy`. See `r2rise.ask.demonstrators.load_policy`.
        n_demonstrations: Episodes to record.
        max_steps: Frames after which a demonstration is cut; by default the environment's own
            limit.
        stochastic: Sampled actions (the paper's demonstrator) instead of the most likely ones.
        seed: The one seed that all random numbers follow from.
        pictures: Height of the pictures of the frames at most, in pixels; by default none are kept.
        worse_share: Share of the demonstrations that are made worse by random actions.
        worse_epsilon: Probability of a uniformly random action at each step of these.
        progress: Whether to show a progress bar, or a function to call after each demonstration.

    Returns:
        The demonstrations. `meta` holds the environment, the policy's source, the settings, and
        for each demonstration its `returns` and its `epsilon`, the probability of random actions.

    Raises:
        InputError: When an argument cannot be used, or the policy's actions are invalid.
        EnvironmentMismatch: When policy and environment do not fit together, the environment fails,
            or pictures are requested but the environment draws none.
        MissingExtra: When an optional package is not installed.
    """
    recording = _recording(
        n_demonstrations=n_demonstrations,
        max_steps=max_steps,
        stochastic=stochastic,
        seed=seed,
        pictures=pictures,
        worse_share=worse_share,
        worse_epsilon=worse_epsilon,
    )
    target = environment_of(environment)
    source = policy.rpartition("/")[2] if isinstance(policy, str) else type(policy).__qualname__
    demonstrator = to_policy(policy, target)
    if (problem := divergence(demonstrator)) is not None:
        raise InputError(f"The policy {source} cannot be recorded: {problem}")
    epsilon = _epsilon(recording, demonstrator)
    parts = target.observation_parts
    warn_of_flattened(target.spec.id, {key: part.shape or () for key, part in parts.items()})
    with shown(progress, "Recording") as on_progress:
        episodes = _Recorder(target, demonstrator, recording).episodes(epsilon, on_progress)
    return _join_episodes(
        episodes,
        meta={
            "environment": target.spec.id,
            "environment_kwargs": target.spec.kwargs,
            "obs_keys": list(target.spec.obs_keys),
            "policy": source,
            "recording": recording.model_dump(mode="json"),
            "epsilon": epsilon.tolist(),
            "returns": [float(episode.rews.sum()) for episode in episodes],
        },
    )


def _recording(**settings: Any) -> _Recording:
    try:
        return _Recording.model_validate(settings)
    except ValidationError as error:
        raise InputError(f"These settings cannot be used:\n{describe(error, _Recording)}") from None


def environment_of(description: AnyEnvironment) -> Environment:
    """Return the environment that a description, id or function stands for.

    Raises:
        StudyError: When the fields of a description cannot be used.
        UnknownName: When no environment has this name.
        EnvironmentMismatch: When the environment cannot be made.
        MissingExtra: When an optional package is not installed.
    """
    if isinstance(description, Environment):
        return description
    try:
        return Environment(EnvironmentSpec.model_validate(description))
    except ValidationError as error:
        raise StudyError(
            f"The environment cannot be used:\n{describe(error, EnvironmentSpec)}",
            field="environment",
        ) from None


def _epsilon(recording: _Recording, policy: Policy | None) -> NDArray[np.float64]:
    """Return each demonstration's probability of random actions, (n_demonstrations,) float64."""
    n = recording.n_demonstrations
    if policy is None:
        return np.ones(n)
    order = np.random.default_rng(recording.seed).permutation(n)
    worse = order[: round(recording.worse_share * n)]
    epsilon = np.zeros(n)
    epsilon[worse] = recording.worse_epsilon
    return epsilon


def _join_episodes(episodes: list[_Episode], meta: dict[str, Any]) -> Demonstrations:
    pictures = [episode.frames for episode in episodes if episode.frames is not None]
    return Demonstrations(
        obs=np.concatenate([episode.obs for episode in episodes]),
        acts=np.concatenate([episode.acts for episode in episodes]),
        lengths=np.array([len(episode.acts) for episode in episodes], dtype=np.int64),
        rews=np.concatenate([episode.rews for episode in episodes]),
        terminal=np.array([episode.terminal for episode in episodes]),
        frames=np.concatenate(pictures) if pictures else None,
        meta=meta,
    )


class _Recorder:
    """Records episodes of a policy in an environment."""

    def __init__(
        self, environment: Environment, policy: Policy | None, recording: _Recording
    ) -> None:
        self._environment = environment
        self._policy = policy
        self._deterministic = not recording.stochastic
        self._pictures = recording.pictures
        self._seeds = episode_seeds(recording.seed, recording.n_demonstrations).tolist()
        self._steps = max_steps(environment, Evaluation(max_steps=recording.max_steps))

    def episodes(
        self, epsilon: NDArray[np.float64], on_progress: OnProgress | None
    ) -> list[_Episode]:
        """Record an episode for each entry of `epsilon`, (n_demonstrations,), with its own seed."""
        with failures_of(self._environment):
            drawn = _with_pictures(self._environment) if self._pictures else self._environment
            env = drawn.make(0)
        episodes: list[_Episode] = []
        try:
            for seed, probability in zip(self._seeds, epsilon.tolist(), strict=True):
                with seeded_globals(seed, threads=1), failures_of(self._environment):
                    episodes.append(self._episode(env, seed, probability))
                if on_progress:
                    on_progress(Progress(len(episodes), len(epsilon), failed=0, resumed=0))
        finally:
            env.close()
        return episodes

    def _episode(self, env: GymEnv, seed: int, epsilon: float) -> _Episode:
        action_source = RandomActionSource(env.action_space, seed)
        space = env.observation_space
        observation, _ = env.reset(seed=seed)
        obs, acts, rews = [in_space(observation, space).copy()], list[Any](), list[float]()
        frames: list[NDArray[np.uint8]] = []
        terminated = truncated = False
        while len(acts) < self._steps and not (terminated or truncated):
            if self._pictures:
                frames.append(self._picture(env, self._pictures))
            if self._policy is None or action_source.is_random(epsilon):
                action = action_source.sample()
            else:
                action = self._act(self._policy, obs[-1])
            acts.append(
                np.array(action)
            )  # a copy: the environment may change its argument in place
            observation, reward, terminated, truncated, _ = env.step(action)
            obs.append(in_space(observation, space).copy())
            rews.append(float(reward))
        self._check_finite(observations=obs, rewards=rews)
        return _Episode(
            obs=np.stack(obs),
            acts=np.stack(acts).astype(env.action_space.dtype, copy=False),
            rews=np.array(rews),
            terminal=bool(terminated),
            frames=np.stack(frames) if frames else None,
        )

    def _picture(self, env: GymEnv, height: int) -> NDArray[np.uint8]:
        try:
            rendered: Any = env.render()
        except Exception as error:
            raise EnvironmentMismatch(
                f"Environment {self._environment.spec.id!r} cannot draw pictures here: "
                f"{type(error).__name__}: {error}. Record without pictures; MuJoCo draws without a "
                f"screen when MUJOCO_GL=egl or MUJOCO_GL=osmesa is set."
            ) from error
        return small_picture(rendered, height)

    def _check_finite(self, **arrays: list[Any]) -> None:
        for name, values in arrays.items():
            if not np.isfinite(values).all():
                raise EnvironmentMismatch(
                    f"Environment {self._environment.spec.id!r} returned {name} that are not "
                    f"finite numbers: demonstrations cannot hold them.",
                    field="environment.id",
                )

    def _act(self, policy: Policy, observation: NDArray[Any]) -> Any:
        try:
            actions, _ = policy.predict(observation[None], deterministic=self._deterministic)
        except Exception as error:
            raise EnvironmentMismatch(
                f"policy.predict failed on an observation {observation.shape} {observation.dtype} "
                f"of environment {self._environment.spec.id!r}: {type(error).__name__}: {error}"
            ) from error
        return checked_actions(actions, 1, self._environment.action_space)[0]


def _with_pictures(environment: Environment) -> Environment:
    """Return the environment with a render mode that draws pictures.

    Raises:
        EnvironmentMismatch: When it has no such mode.
    """
    spec = environment.spec
    env = environment.make(0)
    modes = list(env.metadata.get("render_modes", ()))
    env.close()
    if "rgb_array" not in modes:
        raise EnvironmentMismatch(
            f"Environment {spec.id!r} cannot draw pictures: expected the render mode 'rgb_array', "
            f"got {', '.join(modes) or 'none'}. Record without pictures.",
            field="environment.id",
        )
    return Environment(
        spec.model_copy(update={"kwargs": {**spec.kwargs, "render_mode": "rgb_array"}})
    )
