"""What is compared of maps: rank, both ends, the segments that hurt, and returns without them."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

Floats = NDArray[np.float64]

ENDS = 10
"""Segments at each end that are compared."""


def measures(results: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the measures of a row for each budget: median, lowest and highest over repetitions.

    Args:
        results: Reference, maps, curation and setting, as `peers.py` stores them.
        name: Of the row.
    """
    maps, setting = results["maps"][name], results["setting"]
    truth = np.array(results["reference"]["importance"])
    own_index = maps.get(f"{setting['own_index_seed']}-{setting['own_index_budget']}")
    found: dict[str, Any] = {}
    for budget in setting["budgets"]:
        keys = [f"{seed}-{budget}" for seed in setting["seeds"]]
        values = [np.array(maps[key]["values"]) for key in keys if key in maps]
        hurts = np.array(results["reference"]["hurts"])
        own = found[str(budget)] = {
            "spearman": _summary([rank_correlation(one, truth) for one in values]),
            "top": _summary([len(_highest(one) & _highest(truth)) for one in values]),
            "bottom": _summary([len(_highest(-one) & _highest(-truth)) for one in values]),
            "hurts": _summary([harmful_found(one, hurts) for one in values]),
        }
        if own_index is not None:
            index = np.array(own_index["values"])
            own["spearman_own_index"] = _summary([rank_correlation(one, index) for one in values])
        returns = [results["curation"]["returns"][f"{name} {key}"] for key in keys]
        for amount, column in zip(setting["amounts"], zip(*returns, strict=True), strict=True):
            own[f"curated_{amount}"] = _summary(column)
    if own_index is not None:
        found["own_index_spearman"] = round(
            rank_correlation(np.array(own_index["values"]), truth), 3
        )
    return found


def from_independent_masks(results: Mapping[str, Any]) -> float:
    """Return the correlation of the reference with the mean of all maps from independent masks.

    They share neither design nor estimator with it: pyDVL's, of the largest budget.
    """
    budget = results["setting"]["budgets"][-1]
    keys = [f"{seed}-{budget}" for seed in results["setting"]["seeds"]]
    maps = [results["maps"][name][key]["values"] for name in ("pydvl", "pydvl-own") for key in keys]
    truth = np.array(results["reference"]["importance"])
    return float(np.corrcoef(np.mean(maps, axis=0), truth)[0, 1])


def rank_correlation(values: Floats, truth: Floats) -> float:
    """Return Spearman's rank correlation; 0 where all values are equal."""
    return float(spearmanr(values, truth).statistic) if np.ptp(values) > 0 else 0.0


def harmful_found(values: Floats, hurts: NDArray[np.int64]) -> int:
    """Return how many of the harmful segments are among as many with the lowest values."""
    lowest = np.argsort(values, kind="stable")[: len(hurts)]
    return len(set(lowest.tolist()) & set(hurts.tolist()))


def _highest(values: Floats) -> set[int]:
    return set(np.argsort(-values, kind="stable")[:ENDS].tolist())


def _summary(values: Sequence[float]) -> list[float]:
    """Return median, lowest and highest."""
    three = (statistics.median(values), min(values), max(values))
    return [round(float(value), 4) for value in three]
