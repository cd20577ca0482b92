"""Environments in whose demonstrations decisive, redundant, useless and harmful frames lie.

`planted(id)` gives demonstrations and the kind of every segment, `truth(id)` what each is worth,
`expert` is who demonstrates.
"""

from r2rise_envs.planted.experts import expert
from r2rise_envs.planted.learner import Table
from r2rise_envs.planted.takes import Kind, Planted, planted
from r2rise_envs.planted.truth import IDS, Truth, truth

__all__ = ["IDS", "Kind", "Planted", "Table", "Truth", "expert", "planted", "truth"]
