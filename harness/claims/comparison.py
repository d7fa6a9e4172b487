"""Compare published claims with a run: confirmed, refuted, or not comparable and why."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple

from harness.axes import load_axes
from harness.claims.claim import OF_A_PAIR, Claim, Quantity
from harness.claims.text import name_gpus, name_model, name_settings
from harness.core.axis import Cell, Scalar, value_word
from harness.core.base import Frozen
from harness.core.outcome import Completed
from harness.core.plan import Plan
from harness.core.quality import Interval
from harness.core.units import Absent
from harness.results import CellResult, Run

GIB = 2**30
DENOISERS = ("unet", "transformer", "denoiser")
"""The names that pipelines give to the component that denoises."""

Verdict = Literal["confirmed", "refuted", "not comparable"]


class Finding(Frozen):
    """The verdict on a claim; `here` is the run's value, `reasons` say why it is not comparable."""

    claim: Claim
    verdict: Verdict
    here: Interval | Absent
    candidate: str = ""
    baseline: str = ""
    reasons: tuple[str, ...] = ()


class MatchedCells(NamedTuple):
    """The cells nearest to a claim; `differences` name the settings that are not as claimed."""

    candidate: Cell
    baseline: Cell | None
    differences: tuple[str, ...]


def compare_claims(folder: Path, claims: Iterable[Claim]) -> tuple[Finding, ...]:
    """Return one finding per claim; ResultsError if the run cannot be read.

    Confirmed: the measured interval overlaps the claimed one on the same hardware, with the same
    model and settings; refuted: it lies outside. A ratio of another machine or model is measured
    though not comparable, for it is informative; seconds and bytes of another model are not.
    """
    return compare_run(Run.load(folder), claims)


def compare_run(run: Run, claims: Iterable[Claim]) -> tuple[Finding, ...]:
    """Return one finding per claim on a loaded run."""
    return tuple(_compare(run, claim) for claim in claims)


def _compare(run: Run, claim: Claim) -> Finding:
    other = _find_other_circumstances(claim, run.plan)

    def reject(here: Absent, *reasons: str) -> Finding:
        return Finding(claim=claim, verdict="not comparable", here=here, reasons=reasons)

    if claim.quantity not in OF_A_PAIR and not _is_claimed_model(claim, run.plan):
        return reject(Absent(absent=other[-1]), *other)
    cells = match_cells(claim, [cell.planned.cell for cell in run.cells if cell.samples])
    if isinstance(cells, Absent):
        return reject(cells, *other, cells.absent)
    baseline = run.cell(cells.baseline.id) if cells.baseline else None
    here = measure(claim, run.cell(cells.candidate.id), baseline)
    absent = (here.absent,) if isinstance(here, Absent) else ()
    reasons = (*other, *cells.differences, *absent)
    verdict: Verdict = "not comparable"
    if isinstance(here, Interval) and not reasons:
        low, high = claim.window
        verdict = "confirmed" if here.high >= low and here.low <= high else "refuted"
    return Finding(
        claim=claim,
        verdict=verdict,
        here=here,
        candidate=cells.candidate.id,
        baseline=cells.baseline.id if cells.baseline else "",
        reasons=reasons,
    )


def match_cells(claim: Claim, completed: Iterable[Cell]) -> MatchedCells | Absent:
    """Return the cells with the fewest differences from a claim, of equal ones the first.

    The two cells of a pair are alike except in what the claim compares.
    """
    cells = tuple(completed)
    candidates = [cell for cell in cells if cell.fits(claim.candidate)]
    if not candidates:
        return Absent(absent=f"no completed cell with {name_settings(claim.candidate)}")
    if not claim.baseline:
        found = [MatchedCells(cell, None, _list_differences(claim, cell)) for cell in candidates]
        return min(found, key=lambda match: len(match.differences))
    baselines = [cell for cell in cells if cell.fits(claim.baseline)]
    if not baselines:
        words = f"no completed cell with {name_settings(claim.baseline)} to compare with"
        return Absent(absent=words)
    compared = {*claim.candidate, *claim.baseline}
    pairs = [
        MatchedCells(mine, other, _list_differences(claim, mine))
        for mine in candidates
        for other in baselines
        if _are_alike(mine, other, compared)
    ]
    if not pairs:
        axes = ", ".join(sorted(compared))
        against = f"{name_settings(claim.candidate)} against {name_settings(claim.baseline)}"
        return Absent(absent=f"no two completed cells that differ in {axes} only, as {against}")
    return min(pairs, key=lambda match: len(match.differences))


def _are_alike(mine: Cell, other: Cell, compared: set[str]) -> bool:
    first, second = mine.by_axis, other.by_axis
    shared = (axis for axis in first if axis not in compared)
    return mine.id != other.id and all(first[axis] == second.get(axis) for axis in shared)


def _list_differences(claim: Claim, cell: Cell) -> tuple[str, ...]:
    found, claimed = cell.by_axis, {**_list_unused_techniques(claim), **claim.settings}
    return tuple(
        f"{axis} {found.get(axis, '?')}, claimed with {value_word(claimed[axis])}"
        for axis in cell.misfits(claimed)
        if axis in found
    )


def _list_unused_techniques(claim: Claim) -> dict[str, Scalar]:
    """Return the axes of techniques that a claim does not name, at their defaults.

    A claim names what it was measured with. Precision is left out: the plan decides its default.
    """
    named = {*claim.settings, *claim.candidate, *claim.baseline}
    return {
        axis.name: axis.default
        for axis in load_axes()
        if axis.default not in (None, "auto") and axis.open_value is None and axis.name not in named
    }


def _find_other_circumstances(claim: Claim, plan: Plan) -> tuple[str, ...]:
    """Return how this run's machine and model differ from a claim's."""
    reasons = []
    gpu = plan.machine.gpus[0].name if plan.machine.gpus else ""
    if claim.gpu and not (gpu and _any_fits(claim.gpu, (gpu,))):
        reasons.append(f"hardware: {gpu or 'no GPU'}, claimed on {name_gpus(claim)}")
    if not _is_claimed_model(claim, plan):
        reasons.append(f"model: {plan.model.title}, claimed for {name_model(claim)}")
    return tuple(reasons)


def _is_claimed_model(claim: Claim, plan: Plan) -> bool:
    """Return whether the run's model fits by its title, or by the id, name or path it was given."""
    options = plan.matrix.model.options.values()
    names = (plan.model.title, *(text for text in options if isinstance(text, str)))
    return not claim.model or _any_fits(claim.model, names)


def _any_fits(globs: Iterable[str], names: Iterable[str]) -> bool:
    lowered = [name.lower() for name in names]
    return any(fnmatchcase(name, glob.lower()) for glob in globs for name in lowered)


def measure(claim: Claim, candidate: CellResult, baseline: CellResult | None) -> Interval | Absent:
    """Return the claim's quantity of these cells."""
    samples, other = candidate.samples, baseline.samples if baseline else None
    assert samples is not None  # only completed cells are matched
    if claim.quantity == "score":
        return _measure_score(claim, candidate)
    if claim.quantity == "encoder-calls":
        return _count_encoder_calls(samples)
    if claim.quantity == "speedup":
        from harness.stats.speedup import over_other

        assert other is not None  # a speedup belongs to a pair
        found = over_other(candidate.run.baseline.samples, other, samples)
        return found if isinstance(found, Absent) else found.interval
    if claim.quantity in ("latency-s", "step-latency-s"):
        return _measure_latency(claim.quantity, samples)
    mine = _measure_gib(claim.quantity, samples)
    if other is None or isinstance(mine, Absent):
        return _to_point(mine)
    theirs = _measure_gib(claim.quantity, other)
    return _to_point(theirs if isinstance(theirs, Absent) else mine / theirs)


def _measure_latency(quantity: Quantity, samples: Completed) -> Interval | Absent:
    """Return the median seconds of a call, or of a denoiser call: the median of each call's."""
    from harness.stats.latency import cell_latency, compute_latency
    from harness.stats.steady_state import steady_blocks

    if not samples.repeats:
        return Absent(absent="no timed calls")
    if quantity == "latency-s":
        return cell_latency(samples.pairing).median_s
    blocks = (
        [median(call.steps_s) for call in block.repeats if call.steps_s]
        for block in steady_blocks(samples.pairing)
    )
    steps = [block for block in blocks if block]
    absent = Absent(absent="its denoiser calls were not timed separately")
    return compute_latency(steps).median_s if steps else absent


def _measure_gib(quantity: Quantity, samples: Completed) -> float | Absent:
    if quantity == "model-memory-gib":
        return sum(samples.weights_bytes.values()) / GIB
    if quantity == "denoiser-memory-ratio":
        counts = [n for name, n in samples.weights_bytes.items() if name in DENOISERS and n]
        absent = Absent(absent="the bytes of its denoiser are not known")
        return sum(counts) / GIB if counts else absent
    allocated = samples.memory.allocated_bytes  # what published figures report
    if not isinstance(allocated, Absent):
        return allocated / GIB
    peak = samples.memory.peak()
    return peak if isinstance(peak, Absent) else peak.count / GIB


def _to_point(value: float | Absent) -> Interval | Absent:
    if isinstance(value, Absent):
        return value
    return Interval(estimate=value, low=value, high=value, method="one measurement")


def _count_encoder_calls(samples: Completed) -> Interval | Absent:
    counts = (effect.figures.get("encoder_calls") for effect in samples.applied)
    known = next((count for count in counts if isinstance(count, int | float)), None)
    return _to_point(
        Absent(absent="the text encoders' calls were not counted")
        if known is None
        else float(known)
    )


def _measure_score(claim: Claim, cell: CellResult) -> Interval | Absent:
    if cell.run.evaluation is None:
        return Absent(absent="the run was not evaluated: harness evaluate")
    score = cell.scores.get(claim.metric)
    if score is None:
        missing = cell.run.evaluation.missing
        return Absent(absent=missing.get(claim.metric, f"{claim.metric} was not scored"))
    if claim.images and score.n != claim.images:
        counts = f"{score.n:,} images, claimed on {claim.images:,}"
        return Absent(absent=f"{claim.metric} was scored on {counts}")
    return score.value
