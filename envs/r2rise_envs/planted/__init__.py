"""Environments with planted demonstrations of known decisive, redundant, useless, harmful frames.

`planted(id)` returns demonstrations and the kind of every segment, `truth(id)` the importance of
every segment, and `expert(environment)` the policy that demonstrates.
"""

from r2rise_envs.planted.experts import expert
from r2rise_envs.planted.learner import Table
from r2rise_envs.planted.takes import Kind, Planted, planted
from r2rise_envs.planted.truth import IDS, Truth, truth

__all__ = ["IDS", "Kind", "Planted", "Table", "Truth", "expert", "planted", "truth"]
