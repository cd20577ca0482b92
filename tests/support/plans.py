"""Plans for simulated worlds."""

from simulation import SimulatedEngine, World, demonstrations

import r2rise
from r2rise import Plan, Study
from r2rise.ask.pilot import Cost, Pilot
from r2rise.statistics.summaries import VarianceSplit


def asked(seed: int = 0, **fields) -> Study:
    return Study(environment="CartPole-v1", seed=seed, **fields)


def plan(world: World, seed: int = 0, **fields) -> Plan:
    limit = (
        {"max_retrainings": fields.pop("max_retrainings")} if "max_retrainings" in fields else {}
    )
    return r2rise.plan(
        demonstrations(), asked(seed, **fields), engine=SimulatedEngine(world), **limit
    )


def a_pilot(**changes) -> Pilot:
    fields = {
        "variance": VarianceSplit(masks=1, training_seeds=1, masks_by_seeds=1, episodes=1),
        "mean_return": 50.0, "f": 9.0, "degrees": (8, 24), "noise": 2.0, "episode_noise": 20.0,
        "cost": Cost(1.0, 0.1), "n_episodes": 20, "n_retrainings": 64,
    }  # fmt: skip
    return Pilot(**(fields | changes))
