"""Evaluation: from policies to episode returns."""

from r2rise.evaluation.backends import resolve_backend
from r2rise.evaluation.loop import evaluate, evaluate_many
from r2rise.evaluation.rollout import Returns

__all__ = ["Returns", "evaluate", "evaluate_many", "resolve_backend"]
