"""Energy of an image in joules, and its cost by the price list of a matrix."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Literal

from harness.core.base import Frozen
from harness.core.machine import Machine
from harness.core.matrix import Prices
from harness.core.timing import Block
from harness.core.units import Absent

J_PER_KWH = 3.6e6
UNPRICED = "no prices: add [prices] to the matrix, such as per_hour = { '*H100*' = 2.5 }"


class Cost(Frozen):
    """An amount of money in `currency` by part; parts without a price are left out."""

    currency: str
    parts: dict[Literal["machine", "electricity"], float]

    @property
    def amount(self) -> float:
        return sum(self.parts.values())


def image_cost(
    prices: Prices, machine: Machine, image_s: float, energy_j: float | Absent
) -> Cost | Absent:
    """Return the cost of an image that takes `image_s` seconds and `energy_j` joules, or why it is
    absent.

    A price per hour is assumed to include electricity, as for a rented machine. `per_kwh` is added
    where a matrix gives both, as for a machine that you own. Without a price per hour the cost is
    the electricity alone. If electricity has a price but was not measured, the cost is absent,
    because it would look too low in comparison.
    """
    if not prices.per_hour and prices.per_kwh is None:
        return Absent(absent=UNPRICED)
    parts: dict[Literal["machine", "electricity"], float] = {}
    if prices.per_hour:
        machine_part = machine_cost(prices, machine, image_s)
        if isinstance(machine_part, Absent):
            return machine_part
        parts.update(machine_part.parts)
    if prices.per_kwh is not None:
        if isinstance(energy_j, Absent):
            return Absent(
                absent=f"prices.per_kwh is given, but the energy is absent: {energy_j.absent}"
            )
        parts["electricity"] = energy_j / J_PER_KWH * prices.per_kwh
    return Cost(currency=prices.currency, parts=parts)


def machine_cost(prices: Prices, machine: Machine, seconds: float) -> Cost | Absent:
    """Return the price of some seconds of a machine; absent if no price matches it."""
    if not prices.per_hour:
        return Absent(absent=UNPRICED)
    name = machine.gpus[0].name if machine.gpus else machine.cpu
    fitting = (
        price for glob, price in prices.per_hour.items() if fnmatchcase(name.lower(), glob.lower())
    )
    per_hour = next(fitting, None)
    if per_hour is None:
        return Absent(
            absent=f'no glob of prices.per_hour matches "{name}": {", ".join(prices.per_hour)}'
        )
    return Cost(currency=prices.currency, parts={"machine": per_hour * seconds / 3600})


def image_energy_j(blocks: Sequence[Block], batch: int) -> float | Absent:
    """Return the joules of one image: energy of some blocks ÷ their images, `batch` per call.

    Blocks without a reading are left out; absent, with the first block's reason, if no block has
    one.
    """
    known = [block for block in blocks if not isinstance(block.conditions.energy_j, Absent)]
    images = sum(len(block.repeats) for block in known) * batch
    if not images:
        reasons = (block.conditions.energy_j for block in blocks)
        return next(
            (reason for reason in reasons if isinstance(reason, Absent)),
            Absent(absent="no timed calls"),
        )
    drawn = (block.conditions.energy_j for block in known)
    return sum(energy for energy in drawn if not isinstance(energy, Absent)) / images
