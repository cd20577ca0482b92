"""Do the curves of `longer_training.py` come back with another implementation?

    python benchmarks/independent_cloning.py

Behavioural cloning of CartPole in plain PyTorch, and gymnasium's own vector environment: nothing
of r2rise's training, batch order (here batches are drawn with replacement) or evaluation is in it.
Curated are the frames that `results/longer_training.json` says. Prints and writes
`results/independent_cloning.json`.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from real_answers import cut
from torch import nn

HERE = Path(__file__).parent
RESULTS = HERE / "results"
SEEDS, EPISODES, STEPS, BATCH = 16, 20, 500, 32
AMOUNTS = [400 * 2**k for k in range(7)]


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 2)
    )


def mean_return(policy: nn.Sequential, seed: int) -> float:
    env = CartPoleVectorEnv(num_envs=EPISODES, max_episode_steps=STEPS)
    observation, _ = env.reset(seed=seed)
    running, total = np.ones(EPISODES, dtype=bool), np.zeros(EPISODES)
    for _ in range(STEPS):
        with torch.no_grad():
            logits = policy(torch.as_tensor(observation, dtype=torch.float32))
        observation, _, terminated, truncated, _ = env.step(logits.argmax(dim=1).numpy())
        total += running
        running &= ~(np.asarray(terminated) | np.asarray(truncated))
        if not running.any():
            break
    return float(total.mean())


def curve(obs: np.ndarray, acts: np.ndarray, seed: int) -> list[float]:
    policy = network(seed)
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
    draw = torch.Generator().manual_seed(seed)
    x, y = torch.as_tensor(obs), torch.as_tensor(acts)
    found, done = [], 0
    for amount in AMOUNTS:
        for _ in range(amount - done):
            batch = torch.randint(len(x), (BATCH,), generator=draw)
            loss = nn.functional.cross_entropy(policy(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        done = amount
        found.append(mean_return(policy, seed))
    return found


def main() -> None:
    torch.set_num_threads(1)
    known = json.loads((RESULTS / "longer_training.json").read_text())
    found = {}
    for start in map(int, sys.argv[1:] or ("5", "0")):
        demonstrations = cut("cartpole", range(start, start + 5), 100)
        kept = np.ones(500, dtype=bool)
        for demonstration, first, last in known[f"cartpole-{start}"]["edits"]:
            kept[100 * demonstration + first : 100 * demonstration + last] = False
        shown = np.arange(505) % 101 != 100  # the last observation has no action
        obs, acts = demonstrations.obs[shown], demonstrations.acts
        arms = {"all_frames": np.ones(500, dtype=bool), "curated": kept}
        own = found[f"cartpole-{start}"] = {"amounts": AMOUNTS}
        for name, mask in arms.items():
            means = np.array([curve(obs[mask], acts[mask], seed) for seed in range(SEEDS)])
            error = means.std(axis=0, ddof=1) / np.sqrt(SEEDS)
            own[name] = {
                "mean": means.mean(axis=0).round(1).tolist(),
                "std_error": error.round(1).tolist(),
            }
            print(start, name, own[name], flush=True)
    (RESULTS / "independent_cloning.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
