"""Proposal of a study from a pilot: segment lengths, episodes, retrainings."""

import math
from typing import NamedTuple

from r2rise.ask.pilot import Pilot
from r2rise.data.demonstrations import Demonstrations
from r2rise.data.segments import MIN_SEGMENTS, with_longer_segments
from r2rise.design.masks import foldover_block_size, masks_for_intervals, paired_block_size
from r2rise.results.plan import Option, PlanOutcome
from r2rise.statistics.prediction import expected_reliability, masks_for
from r2rise.statistics.significance import quantile
from r2rise.study.choices import TrainingSeeds
from r2rise.study.parts import Masking, Prediction
from r2rise.study.study import Study

RANKED = 0.5
"""Reliability below which a map is noise."""

CONFIDENCE = 0.8
"""Confidence of the prediction's interval."""

_EPISODES = (2, 100)
"""Smallest and largest number of episodes that is proposed."""

_LEAST_TRAINING_NOISE = 0.2
"""Smallest share of the noise that counts as training noise, whatever a small pilot measures."""

_WORTH_CHANGING = 0.8
"""Relative cost below which another number of episodes is proposed."""


class Blocks(NamedTuple):
    """The blocks of masks of an option.

    Attributes:
        training_seeds: Whether pairs or blocks share a training seed.
        size: Masks of a block.
        least: Fewest masks that show what repeats with another training seed.
    """

    training_seeds: TrainingSeeds
    size: int
    least: int

    @classmethod
    def of(cls, training_seeds: TrainingSeeds, n_segments: int) -> "Blocks":
        """Return the smallest fold-over blocks for `n_segments`."""
        paired = training_seeds == "pair"
        size = paired_block_size(n_segments) if paired else foldover_block_size(n_segments)
        return cls(training_seeds, size, masks_for_intervals(n_segments, training_seeds))

    def at_least(self, n_masks: float) -> int:
        """Return a finite number of masks rounded up to whole blocks, at least `least`."""
        return max(self.least, math.ceil(n_masks / self.size) * self.size)

    def at_most(self, n_masks: float) -> int:
        """Return a number of masks rounded down to whole blocks; 0 if that is less than `least`."""
        n = int(n_masks // self.size) * self.size
        return n if n >= self.least else 0


class Proposer:
    """Proposes a study from the measurements of a pilot.

    Args:
        study: The study to plan; its `until.seconds` is a limit.
        demonstrations: The demonstrations to explain.
        pilot: The measurements.
        goal: Reliability to reach.
        max_retrainings: Largest number of masks.
        gain: Gain of all frames over random actions, or None if unknown; the margin of verdicts is
            a share of it.

    Attributes:
        n_episodes: Episodes of each retraining.
        blur: Noise over signal of one mask with `n_episodes`.
    """

    def __init__(
        self,
        study: Study,
        demonstrations: Demonstrations,
        pilot: Pilot,
        goal: float,
        max_retrainings: int,
        gain: float | None,
    ) -> None:
        self._study, self._demonstrations = study, demonstrations
        self._pilot, self._goal = pilot, goal
        self.n_episodes = best_episodes(pilot)
        self.blur = pilot.blur() * _noise_change(pilot, self.n_episodes)
        self._cost = pilot.cost.of(self.n_episodes)
        seconds = study.until.seconds
        self._max_masks = float(max_retrainings)
        if seconds is not None:
            masks_in_time = seconds / self._cost - study.budget.baseline_retrainings
            self._max_masks = min(self._max_masks, masks_in_time)
        self._verdict_masks = self._masks_for_verdicts(gain) if study.until.verdicts else 0.0

    def _masks_for_verdicts(self, gain: float | None) -> float:
        """Return the masks at which any effect gets a verdict half of the time, or infinity.

        The standard error times the quantiles of both tests must fit into the margin: then an
        effect that is too small to differ from 0 is small enough to be negligible.
        """
        rule = self._study.verdicts
        if gain is None or gain <= 0:
            return math.inf
        std_error = rule.margin * gain / (quantile(1 - rule.level / 2) + quantile(1 - rule.level))
        noise = self._pilot.noise * _noise_change(self._pilot, self.n_episodes)
        return 4 * noise / std_error**2

    def options(self) -> list[Option]:
        """Return the options: the requested segments first, then longer ones."""
        maskings = with_longer_segments(self._study.masking, self._demonstrations.lengths)
        return [self._option(masking) for masking in maskings]

    def _option(self, masking: Masking) -> Option:
        n = len(self._demonstrations.segments(masking))
        exact_masks = max(masks_for(self._goal, n, self.blur), self._verdict_masks)
        blocks = self._blocks(n)
        needed_masks = blocks.at_least(exact_masks) if math.isfinite(exact_masks) else None
        allowed_masks = blocks.at_most(self._max_masks)
        n_masks = min(needed_masks or allowed_masks, allowed_masks)
        return Option(
            segment_length=masking.segment_length,
            n_segments=n,
            training_seeds=blocks.training_seeds,
            retrainings=needed_masks,
            seconds=None if needed_masks is None else needed_masks * self._cost,
            reliability=float(expected_reliability(n_masks, n, self.blur)),
        )

    def _blocks(self, n_segments: int) -> Blocks:
        """Choose what shares a training seed: pairs if the limits allow only one block.

        Otherwise whole blocks, which rank better for the same number of masks.
        """
        by_block, by_pair = Blocks.of("block", n_segments), Blocks.of("pair", n_segments)
        only_one = by_pair.size <= self._max_masks < by_block.least
        return by_pair if only_one or self._study.masking.training_seeds == "pair" else by_block

    def choose(self, options: list[Option]) -> tuple[PlanOutcome, Option]:
        """Return the option of the shortest segments that reach the goal, or else can be ranked."""
        usable = [o for o in options if o.retrainings and o.n_segments >= MIN_SEGMENTS]
        for option in usable:
            if option.retrainings is not None and option.retrainings <= self._max_masks:
                return ("as_asked" if option is options[0] else "coarser"), option
        for option in usable:
            if option.reliability >= RANKED:
                return "short", option
        return "refused", options[0]

    def study(self, option: Option) -> Study:
        """Return the proposed study with its prediction."""
        study = self._study
        masking = {
            "segment_length": option.segment_length,
            "training_seeds": option.training_seeds,
        }
        until = study.until
        if not until.verdicts:
            until = until.model_copy(update={"reliability": self._goal})
        changes = {
            "masking": study.masking.model_copy(update=masking),
            "evaluation": study.evaluation.model_copy(update={"n_episodes": self.n_episodes}),
            "until": until,
        }
        if option.retrainings is None:
            return study.model_copy(update=changes)
        allowed_masks = Blocks.of(option.training_seeds, option.n_segments).at_most(self._max_masks)
        ranks = option.reliability >= RANKED
        n = min(option.retrainings, allowed_masks) if ranks else option.retrainings
        budget = study.budget.model_copy(update={"retrainings": max(n, allowed_masks)})
        prediction = self._prediction(n, option.n_segments)
        return study.model_copy(update={**changes, "budget": budget, "prediction": prediction})

    def masks_to_see(self, n_segments: int) -> int:
        """Return the retrainings for ranking segments whose effect is just too small for the pilot.

        Call it only if the pilot leaves room for such an effect (`Pilot.largest_signal` above 0).
        """
        blur = self._pilot.blur(self._pilot.largest_f) * _noise_change(self._pilot, self.n_episodes)
        return Blocks.of("block", n_segments).at_least(masks_for(RANKED, n_segments, blur))

    def seconds(self, n: int) -> float:
        """Return the seconds of n retrainings and the baselines with one worker."""
        return (n + self._study.budget.baseline_retrainings) * self._cost

    def _prediction(self, n: int, n_segments: int) -> Prediction:
        change = _noise_change(self._pilot, self.n_episodes)
        low, high = self._pilot.f_interval(CONFIDENCE)

        def reliability(f: float | None) -> float:
            return float(expected_reliability(n, n_segments, self._pilot.blur(f) * change))

        return Prediction(
            reliability=reliability(None),
            reliability_low=reliability(low),
            reliability_high=reliability(high),
            retrainings=n,
            seconds=self.seconds(n),
        )


def best_episodes(pilot: Pilot) -> int:
    """Return the number of episodes of a retraining that gives the most reliability for its time.

    The product of a mask's noise, a + e / n, and its seconds, c + n s, is smallest at
    n = sqrt(e c / (a s)). The pilot's number stays unless the change saves a fifth.
    """
    cost, e = pilot.cost, pilot.episode_noise
    a = max(pilot.noise - e / pilot.n_episodes, _LEAST_TRAINING_NOISE * pilot.noise)

    def price(n: int) -> float:
        return (a + e / n) * cost.of(n)

    if a <= 0 or cost.episode <= 0:
        return pilot.n_episodes
    best = round(math.sqrt(e * cost.training / (a * cost.episode)))
    best = min(max(best, _EPISODES[0]), _EPISODES[1])
    return best if price(best) < _WORTH_CHANGING * price(pilot.n_episodes) else pilot.n_episodes


def _noise_change(pilot: Pilot, n_episodes: int) -> float:
    """Return the factor by which `n_episodes` changes the noise of a pilot."""
    if pilot.noise <= 0:
        return 1.0
    change = pilot.episode_noise * (1 / n_episodes - 1 / pilot.n_episodes)
    return max(_LEAST_TRAINING_NOISE, 1 + change / pilot.noise)
