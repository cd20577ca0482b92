"""Six segments of known worth, in blocks of 16 masks."""

import numpy as np
import worth

from r2rise import Ledger, Study
from r2rise.design.tasks import study_tasks
from r2rise.ledger.ledger import LedgerHeader
from r2rise.ledger.record import Record
from r2rise.run.resolve import resolve

WORTH = (5.0, -3.0, 1.0, 2.0, 6.0, -1.0)
D, SIZE = len(WORTH), 16
DEMONSTRATIONS = worth.demonstrations(D)
SEGMENTS = DEMONSTRATIONS.segments()


def asked(noise=0.0, budget=160, **parts) -> Study:
    """Blocks of 16 masks, ten of them at most."""
    return worth.changed(worth.study(WORTH, budget=budget, noise=noise), **parts)


def resolved(**parts) -> Study:
    return resolve(asked(**parts), DEMONSTRATIONS).study


def by_hand(study: Study, noise: float = 3.0, n_blocks: int = 10) -> Ledger:
    """Return a complete ledger of returns made up here, without times."""
    header = LedgerHeader(study.design_part(), tuple(DEMONSTRATIONS.lengths.tolist()), D)
    tasks = study_tasks(study, D)[: 3 + n_blocks * SIZE]
    generator = np.random.default_rng(3)
    drawn = [noise * generator.normal() for _ in tasks]
    returns = [
        np.array(WORTH)[task.mask(D)].sum() + (own if task.kind == "design" else 0.0)
        for task, own in zip(tasks, drawn, strict=True)
    ]
    pairs = zip(tasks, returns, strict=True)
    return Ledger(header, [Record(*task.key, np.array([value])) for task, value in pairs])
