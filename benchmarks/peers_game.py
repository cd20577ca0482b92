"""The game that all methods are given: what sets of segments are worth to a policy."""

from collections.abc import Sequence

import blocks
import numpy as np
from numpy.typing import NDArray

from r2rise.design.seeds import Seeds
from r2rise.design.tasks import Task, baseline_tasks, pack_mask
from r2rise.run.resolve import resolve
from r2rise.run.retraining import Retrainer, keep_going
from r2rise.run.shards import Shard

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]

BANK = "cartpole-5"
MASKS_AT_ONCE = 64


class Game:
    """What sets of segments are worth: the mean return of the policy trained on them.

    What was retrained once is known from then on.
    """

    def __init__(self) -> None:
        self.case = blocks.CASES[BANK]()
        self.study = resolve(self.case.study, self.case.demonstrations).study
        self._retrainer = Retrainer(self.study, self.case.demonstrations)
        self.segments = self._retrainer.segments
        self._known: dict[tuple[bytes, Seeds, int], float] = {}
        chance, *_ = self._retrainer.run(
            Shard(tuple(baseline_tasks(self.study, self.n, 0))), keep_going
        )
        self.random_policy = float(chance.returns.mean())

    @property
    def n(self) -> int:
        """Number of segments."""
        return len(self.segments)

    def worth(self, masks: Masks, seeds: Sequence[Seeds], amounts: Sequence[int] = (0,)) -> Floats:
        """Return mean returns, (n_masks, n_amounts); without any frame those of random actions.

        Args:
            masks: (n_masks, n_segments).
            seeds: Of each mask.
            amounts: Of training; 0 is the study's.
        """
        keys = [(pack_mask(mask), own) for mask, own in zip(masks, seeds, strict=True)]
        for mask, own in keys:
            if not any(mask):
                self._known |= {(mask, own, amount): self.random_policy for amount in amounts}
        missing = [key for key in dict.fromkeys(keys) if (*key, amounts[0]) not in self._known]
        for start in range(0, len(missing), MASKS_AT_ONCE):
            tasks = [
                Task("design", 0, mask, *own, amount)
                for mask, own in missing[start : start + MASKS_AT_ONCE]
                for amount in amounts
            ]
            records = self._retrainer.run(Shard(tuple(tasks)), keep_going)
            for task, record in zip(tasks, records, strict=True):
                if record.status != "ok":
                    raise SystemExit(f"A retraining failed: {record.reason}")
                key = (task.packed_mask, task.seeds, task.amount)
                self._known[key] = float(record.returns.mean())
        return np.array([[self._known[*key, amount] for amount in amounts] for key in keys])


class FreeGame(Game):
    """A game of main effects and noise, to time methods without retraining."""

    def __init__(self, effects: Floats) -> None:
        super().__init__()
        self._effects, self._generator = effects, np.random.default_rng(0)

    def worth(
        self,
        masks: Masks,
        seeds: Sequence[Seeds],  # noqa: ARG002
        amounts: Sequence[int] = (0,),
    ) -> Floats:
        """Return the sum of effects of each mask plus noise, (n_masks, n_amounts)."""
        noise = self._generator.normal(scale=30, size=(len(masks), len(amounts)))
        return 400 + (np.asarray(masks, dtype=float) @ self._effects)[:, None] + noise
