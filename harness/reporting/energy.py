"""What an image takes of energy and money, in words and as columns of a table."""

from harness.core.cost import Cost, image_cost, image_energy_j, machine_cost
from harness.core.outcome import Completed
from harness.core.units import Absent
from harness.reporting.facts import Facts, Timing
from harness.reporting.loaded import LoadedRun
from harness.reporting.named import Named
from harness.reporting.paired import paired_baseline_s
from harness.reporting.wording import DASH, grouped, money, number


def compute_energy(cell: Completed) -> float | Absent:
    """Return the joules of one image of a cell, in its own blocks that had warmed up."""
    from harness.stats.steady_state import steady_blocks

    return image_energy_j(steady_blocks(cell.pairing), cell.batch)


def compute_cost(loaded: LoadedRun, facts: Facts) -> Cost | Absent:
    """Return what one image of a cell costs by the matrix's prices, or why that is not known."""
    cell, timing = loaded.completed(facts.id), facts.timing
    if cell is None or not isinstance(timing, Timing):
        return timing if isinstance(timing, Absent) else Absent(absent="no timed calls")
    plan = loaded.plan
    return image_cost(plan.matrix.prices, plan.machine, timing.image_s.estimate, compute_energy(cell))


def paired_baseline_cost(loaded: LoadedRun, cell_id: str) -> Cost | Absent:
    """Return what one image of the baseline cost in the blocks beside a cell's own, as the speedup compares them."""
    from harness.stats.steady_state import steady_blocks

    cell, baseline, plan = loaded.completed(cell_id), loaded.baseline, loaded.plan
    paired_s = paired_baseline_s(loaded, cell_id)
    if cell is None or baseline is None or paired_s is None:
        return Absent(absent="it was not timed beside the baseline")
    energy = image_energy_j(steady_blocks(cell.pairing, "baseline"), baseline.batch)
    return image_cost(plan.matrix.prices, plan.machine, paired_s, energy)


def priced(loaded: LoadedRun) -> bool:
    """Whether the matrix gives prices at all."""
    prices = loaded.plan.matrix.prices
    return bool(prices.per_hour) or prices.per_kwh is not None


def energy_figures(loaded: LoadedRun, facts: Facts, cell: Completed) -> tuple[Named, ...]:
    """Return energy and cost of an image, and what building cost in money; money only where the matrix has prices."""
    energy = compute_energy(cell)
    known = not isinstance(energy, Absent)
    note = "drawn by the device in the timed blocks" if known else energy.absent  # type: ignore[union-attr]
    value = f"{number(energy)} J" if known else DASH  # type: ignore[arg-type]
    figures = [Named(name="Energy per image", value=value, note=note)]
    if priced(loaded):
        figures += [_cost_figure(compute_cost(loaded, facts)), *_build_figure(loaded, facts)]
    return tuple(figures)


def energy_columns(loaded: LoadedRun, facts: Facts, cell: Completed) -> dict[str, float | str | None]:
    """Return joules and cost of an image with its currency, for a table."""
    energy, cost = compute_energy(cell), compute_cost(loaded, facts)
    known = not isinstance(cost, Absent)
    return {
        "energy_j": None if isinstance(energy, Absent) else energy,
        "image_cost": cost.amount if known else None,  # type: ignore[union-attr]
        "currency": cost.currency if known else None,  # type: ignore[union-attr]
    }


def _cost_figure(cost: Cost | Absent) -> Named:
    if isinstance(cost, Absent):
        return Named(name="Cost per image", value=DASH, note=cost.absent)
    parts = ", ".join(f"{part} {money(amount, cost.currency)}" for part, amount in cost.parts.items())
    thousand = f"{money(1000 * cost.amount, cost.currency)} for 1,000"
    return Named(name="Cost per image", value=money(cost.amount, cost.currency), note=f"{thousand}; {parts}")


def _build_figure(loaded: LoadedRun, facts: Facts) -> tuple[Named, ...]:
    """Return what the machine's time for building costs, and how many images win it back, where it is worth a word."""
    timing, plan = facts.timing, loaded.plan
    if not isinstance(timing, Timing) or isinstance(timing.payback, Absent) or not timing.payback.significant:
        return ()
    cost = machine_cost(plan.matrix.prices, plan.machine, timing.build_cost_s)
    if isinstance(cost, Absent):
        return ()
    images = timing.payback.images
    note = images.absent if isinstance(images, Absent) else f"won back after {grouped(images)} images"
    return (Named(name="Cost to build", value=money(cost.amount, cost.currency), note=note),)
