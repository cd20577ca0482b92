"""Behavioural cloning from observation, for many masks at once."""

from r2rise.algorithms.bco.algorithm import BCO

__all__ = ["BCO"]
