"""The answers on real demonstrations: plan, map, certificate and curation, one after another.

    python benchmarks/real_answers.py [--cases cartpole-0 hopper ...]

Writes `results/real_answers.json`: what was predicted and found, and in which time.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import r2rise
from r2rise import Demonstrations, Segment, Study
from r2rise.errors import NotReady

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "real_answers.json"
MOST_SECONDS = 420
"""For the map; plan, certificate and curation come on top."""


class Case(NamedTuple):
    """Demonstrations and a study without budget."""

    demonstrations: Callable[[], Demonstrations]
    study: dict[str, Any]
    workers: int = 0


def cut(name: str, demonstrations: range, n_frames: int) -> Demonstrations:
    """Return the first frames of some demonstrations."""
    whole = Demonstrations.load(HERE / "data" / f"{name}.npz")
    return whole.select(keep=[Segment(number, 0, n_frames) for number in demonstrations])


HOPPER = {"name": "bc", "settings": {"n_epochs": 300}}
CASES = {
    **{
        f"cartpole-{start}": Case(
            lambda start=start: cut("cartpole", range(start, start + 5), 100),
            {"environment": "CartPole-v1"},
        )
        for start in (0, 5, 10)
    },
    "pendulum": Case(
        lambda: cut("pendulum", range(5), 200),
        {
            "environment": "Pendulum-v1",
            "algorithm": {"name": "bc", "settings": {"n_epochs": 100}},
            "masking": {"segment_length": 20},
        },
    ),
    "hopper": Case(
        lambda: cut("hopper", range(2), 300),
        {
            "environment": "Hopper-v4",
            "algorithm": HOPPER,
            "masking": {"segment_length": 20},
            "evaluation": {"n_episodes": 4},
        },
        workers=2,
    ),
}


def answers(case: Case) -> dict[str, Any]:
    """Return the figures of one case."""
    demonstrations, workers = case.demonstrations(), case.workers
    until = {"reliability": 0.9, "seconds": MOST_SECONDS}
    found: dict[str, Any] = {}
    seconds = found["seconds"] = {}

    def timed(name: str, answer: Callable[[], Any]) -> Any:
        started = time.monotonic()
        result = answer()
        seconds[name] = round(time.monotonic() - started, 1)
        return result

    asked = Study(**case.study, until=until)
    plan = timed("plan", lambda: r2rise.plan(demonstrations, asked, workers=workers))
    found["plan"] = {
        "in_words": plan.in_words(),
        "variance": {name: round(share, 3) for name, share in plan.variance.shares().items()},
        "prediction": plan.study.prediction and plan.study.prediction.model_dump(),
    }
    asked = asked.model_copy(update={"prediction": plan.study.prediction})
    importance = timed("explain", lambda: r2rise.explain(demonstrations, asked, workers=workers))
    found["map"] = described(importance)
    certificate = timed(
        "certify", lambda: r2rise.certify(demonstrations, importance, workers=workers)
    )
    names = ("area_top_random", "area_random_bottom", "area_top_bottom")
    found["certificate"] = {
        "outcome": certificate.outcome,
        **{name: str(getattr(certificate, name)) for name in names},
        "luck_p": certificate.luck_p,
        "retrainings": certificate.n_retrainings,
    }
    curation = timed("curate", lambda: r2rise.curate(demonstrations, importance, workers=workers))
    found["curation"] = {
        "in_words": curation.in_words(),
        "outcome": curation.outcome,
        "dropped": len(curation.edits),
        "retrainings": curation.n_retrainings,
    }
    if curation.confirmation is not None:
        found["curation"]["confirmation"] = {
            name: str(getattr(curation.confirmation, name))
            for name in type(curation.confirmation).model_fields
        }
    return found


def described(importance: r2rise.ImportanceMap) -> dict[str, Any]:
    verdicts, stopped = importance.verdicts, importance.stopped
    assert verdicts is not None
    said = ("helps", "hurts", "negligible", "unresolved")
    return {
        "segments": len(importance),
        "retrainings": importance.retrainings.done,
        "equal_importance_p": importance.quality.equal_importance_p,
        "reliability": importance.quality.reliability,
        "stopped": stopped and stopped.reason,
        "seconds_of_work": stopped and stopped.seconds,
        "verdicts": {name: verdicts.verdict.count(name) for name in said},
        "more_for_half": verdicts.more_for_half,
        "all_frames": importance.baseline.all_frames and importance.baseline.all_frames.mean,
        "random_policy": importance.baseline.random_policy
        and importance.baseline.random_policy.mean,
        "warnings": [notice.detail for notice in importance.warnings],
    }


def shuffled_maps(n: int) -> dict[str, int]:
    """Return how often shuffled maps of the example pass, and would by the areas alone."""
    case = CASES["cartpole-0"]
    demonstrations = case.demonstrations()
    importance = r2rise.explain(demonstrations, Study(**case.study))
    passed = areas = 0
    for seed in range(n):
        order = np.random.default_rng(seed).permutation(len(importance))
        wrong = importance.model_copy(update={"importance": importance.importance[order]})
        found = r2rise.certify(demonstrations, wrong)
        passed += found.outcome == "pass"
        areas += found.area_top_random.is_above_zero and found.area_random_bottom.is_above_zero
    return {"shuffled": n, "passed": passed, "would_pass_by_areas_alone": areas}


def papers_recipe() -> dict[str, Any]:
    """Return what the certificate says of the paper's sum."""
    case = CASES["cartpole-0"]
    demonstrations = case.demonstrations()
    found = {}
    for retrainings in (128, 384):
        asked = Study(**case.study, preset="paper", budget=retrainings)
        certificate = r2rise.certify(demonstrations, r2rise.explain(demonstrations, asked))
        found[str(retrainings)] = {
            "outcome": certificate.outcome,
            "area_top_random": str(certificate.area_top_random),
            "area_random_bottom": str(certificate.area_random_bottom),
            "luck_p": certificate.luck_p,
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", nargs="*", default=[*CASES, "shuffled", "paper"])
    given = parser.parse_args()
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in given.cases:
        if name == "shuffled":
            found[name] = shuffled_maps(100)
        elif name == "paper":
            found[name] = papers_recipe()
        else:
            try:
                found[name] = answers(CASES[name])
            except NotReady as error:
                found[name] = {"not_ready": str(error)}
        print(name, json.dumps(found[name], indent=2), flush=True)
        RESULTS.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
