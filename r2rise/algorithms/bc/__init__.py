"""Behavioural cloning that trains many masks at once."""

from r2rise.algorithms.bc.algorithm import BC

__all__ = ["BC"]
