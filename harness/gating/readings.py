"""What was measured of a quantity, and how sure it is: bounds at any level, and p-values at any limit."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from harness.core.quality import Uncertainty
from harness.stats.confidence import lower_bound, p_value, standard_error, upper_bound
from harness.stats.proportions import share_lower, share_upper


class Reading(ABC):
    """An observed value; `sure` is False for a plain number that has no interval."""

    observed: float
    sure: bool = True

    @abstractmethod
    def lower(self, level: float) -> float:
        """Return the one-sided lower bound at `level`."""

    @abstractmethod
    def upper(self, level: float) -> float:
        """Return the one-sided upper bound at `level`."""

    @abstractmethod
    def p_below(self, limit: float) -> float:
        """Return the p-value of H0 "at or above `limit`": small if surely below."""

    @abstractmethod
    def p_above(self, limit: float) -> float:
        """Return the p-value of H0 "at or below `limit`": small if surely above."""


@dataclass(frozen=True)
class Spread(Reading):
    """An estimate with its confidence distribution: losses, changes and scores, times and speedups."""

    observed: float
    distribution: Uncertainty

    @property
    def error(self) -> float:
        """The standard error, for planning."""
        return standard_error(self.distribution)

    def lower(self, level: float) -> float:
        return lower_bound(self.distribution, level)

    def upper(self, level: float) -> float:
        return upper_bound(self.distribution, level)

    def p_below(self, limit: float) -> float:
        return p_value(self.distribution, limit)

    def p_above(self, limit: float) -> float:
        return 1 - p_value(self.distribution, limit)


@dataclass(frozen=True)
class Share(Reading):
    """A count of images with `seeds` images a prompt. Prompts are the unit: all seeds of one may break together."""

    count: int
    images: int
    seeds: int = 1

    @property
    def observed(self) -> float:  # type: ignore[override]
        return self.count / self.images

    @property
    def units(self) -> int:
        return self.images // self.seeds

    @property
    def error(self) -> float:
        """The standard error of the share, for planning; with half a broken image more, so that it is never 0."""
        share = (self._most + 0.5) / (self.units + 1)
        return float((share * (1 - share) / self.units) ** 0.5)

    @property
    def _most(self) -> int:
        return min(-(-self.count // self.seeds), self.units)

    @property
    def _least(self) -> int:
        return self.count // self.seeds

    def lower(self, level: float) -> float:
        return share_lower(self._least, self.units, level)

    def upper(self, level: float) -> float:
        return share_upper(self._most, self.units, level)

    def p_below(self, limit: float) -> float:
        from scipy.special import bdtr

        return float(bdtr(self._most, self.units, limit))

    def p_above(self, limit: float) -> float:
        from scipy.special import bdtr

        return 1 - float(bdtr(self._least - 1, self.units, limit)) if self._least else 1.0


@dataclass(frozen=True)
class Timed(Spread):
    """A time, or what is made of one: `looks` tells how often it was looked at, such as `12 blocks`."""

    looks: str


@dataclass(frozen=True)
class Once(Reading):
    """What was timed once, or too few times to rely on: any value is as likely."""

    observed: float
    looks: str

    def lower(self, level: float) -> float:
        return 0.0

    def upper(self, level: float) -> float:
        return math.inf

    def p_below(self, limit: float) -> float:
        return 1.0

    def p_above(self, limit: float) -> float:
        return 1.0


@dataclass(frozen=True)
class Number(Reading):
    """A plain number: it keeps a limit or does not, and nothing says how sure that is; `what` was counted, in words."""

    observed: float
    sure: bool = False
    what: str = ""

    def lower(self, level: float) -> float:
        return self.observed

    def upper(self, level: float) -> float:
        return self.observed

    def p_below(self, limit: float) -> float:
        return 0.0 if self.observed <= limit else 1.0

    def p_above(self, limit: float) -> float:
        return 0.0 if self.observed >= limit else 1.0
