"""Steps a second of every preset: random actions, one process, resets included.

python benchmarks/presets.py
"""

import time

import gymnasium as gym

from r2rise_envs import needed_extra, presets

SECONDS = 3.0


def steps_a_second(name: str) -> float:
    env = gym.make(name, disable_env_checker=True)
    env.action_space.seed(0)
    env.reset(seed=0)
    n, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        n += 1
        if terminated or truncated:
            env.reset()
    return n / (time.perf_counter() - start)


def main() -> None:
    presets.register()
    for name in presets.PRESETS:
        extra = needed_extra(name)
        print(f"{name:34} {f'needs {extra}' if extra else f'{steps_a_second(name):10,.0f}'}")


if __name__ == "__main__":
    main()
