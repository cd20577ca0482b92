"""From policies to episode returns."""

from r2rise.evaluation.backends import resolve_backend
from r2rise.evaluation.loop import Returns, evaluate, evaluate_many

__all__ = ["Returns", "evaluate", "evaluate_many", "resolve_backend"]
