"""How many prompts settle a verdict, from what this run showed."""

import math

from harness.stats.confidence import normal_quantiles

POWER = 0.9
MOST = 10_000_000
"""No verdict is worth more prompts than this; beyond it the answer is None."""


def prompts_needed(distance: float, error: float, prompts: int, level: float, power: float = POWER) -> int | None:
    """Return the prompts at which a one-sided test at `level` decides with probability `power`.

    `distance` is how far the estimate lies from the margin and `error` its standard error at `prompts` prompts:
    n = prompts · ((z_level + z_power) · error / distance)², the usual normal planning formula. None: too many to say.
    """
    if distance == 0 or not math.isfinite(error):
        return None
    reach = float(normal_quantiles(level) + normal_quantiles(power)) * error / abs(distance)
    needed = prompts * reach**2
    return max(2, math.ceil(needed)) if needed < MOST else None


def smallest_loss(error: float, level: float, power: float = POWER) -> float:
    """Return how far below the margin a true loss must lie to pass with probability `power`."""
    return float(normal_quantiles(level) + normal_quantiles(power)) * error
