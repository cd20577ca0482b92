"""What a budget can resolve, estimated before it is spent.

rms(importance) / SE = sqrt(rho N / (d (1 - rho))) for N retrainings and d segments, where rho is
the share of the within-block variance of the returns that the segments' main effects explain.
"""

import math
from dataclasses import dataclass

from r2rise.statistics.wording import counted

RHOS = (0.05, 0.15, 0.4)
"""Values for noisy, usual and well-behaved tasks, as rho is unknown before the first retraining."""

RESOLVED_RATIO = 2.0
"""A segment of typical importance is resolved at twice its standard error."""

RANKABLE_RATIO = 1.0
"""Below this ratio a map correlates less than 0.7 with the truth."""


@dataclass(frozen=True)
class Power:
    """What a number of retrainings can resolve of a number of segments.

    Attributes:
        retrainings: Number of retrainings, N.
        n_segments: Number of segments, d.
    """

    retrainings: int
    n_segments: int

    def ratio(self, rho: float) -> float:
        """Return the expected rms(importance) / SE."""
        return math.sqrt(rho * self.retrainings / (self.n_segments * (1 - rho)))

    def resolvable_segments(self, rho: float) -> int:
        """Return how many segments the budget could resolve."""
        return int(rho * self.retrainings / ((1 - rho) * RESOLVED_RATIO**2))

    def retrainings_to_rank(self, rho: float) -> int:
        """Return the smallest budget that could rank all segments."""
        return math.ceil(RANKABLE_RATIO**2 * self.n_segments * (1 - rho) / rho)

    @property
    def can_rank(self) -> bool:
        """Whether the segments can be ranked even on a well-behaved task."""
        return self.ratio(RHOS[-1]) >= RANKABLE_RATIO

    def describe(self) -> str:
        """Return the numbers of resolvable segments for each of `RHOS`, as text."""
        cases = "; ".join(
            f"{self.resolvable_segments(rho)} if masking explains {rho:.0%} of the returns"
            for rho in RHOS
        )
        return (
            f"{counted(self.retrainings, 'retraining')} can resolve (of "
            f"{counted(self.n_segments, 'segment')}): {cases}."
        )

    def warn(self) -> str:
        """Return the warning, with advice, for a budget that cannot rank the segments."""
        rho = RHOS[1]
        n_resolvable = self.resolvable_segments(rho)
        longer = f", or longer segments (at most {n_resolvable})" if n_resolvable > 1 else ""
        return (
            f"{counted(self.retrainings, 'retraining')} cannot rank "
            f"{counted(self.n_segments, 'segment')}: most of the order will be chance, and few "
            f"segments, if any, will be known to help or to hurt. Use at least "
            f"{self.retrainings_to_rank(rho)} retrainings{longer}."
        )
