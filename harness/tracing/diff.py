"""Compare two traces: which kernels came, went, got slower or ran more often; each figure per call of its stage."""

import re
from typing import Literal, NamedTuple

from harness.core.trace import BETWEEN, Family, StageTime, TraceFacts
from harness.tracing.changes import FamilyChange, KernelChange, StageChange, TraceDiff, Turn
from harness.tracing.scene import DENOISER
from harness.tracing.told import tell

_TILE = re.compile(r"[_-](?:\d+x\d+|tilesize\d|ldg\d|stages?_?\d).*$")
_NUMBER = re.compile(r"(?<=\w)_\d+(?:d\w*)?$")
_LEAST = 0.01
"""Of a stage's time that a change must reach to be told."""


class _Sum(NamedTuple):
    family: Family
    calls: float
    seconds: float


def compare(before: TraceFacts, after: TraceFacts) -> TraceDiff:
    """Return what changed between two traces, the largest changes first.

    They may have different numbers of steps: what is compared is one call of the denoiser, of the VAE and so on.
    Kernels are the same where they differ only in the tile a library chose or the number a compiler gave.
    """
    stages = tuple(_stages(before, after))
    kernels = tuple(sorted(_kernels(before, after), key=lambda change: -abs(change.change_s)))
    families = tuple(_families(before, after))
    return TraceDiff(
        stages=stages, families=families, kernels=kernels, sentences=tell(before, after, stages, families, kernels)
    )


def same_kernel(name: str) -> str:
    """Return what two names of one kernel have in common: `triton_poi_fused_add_7` is `triton_poi_fused_add`."""
    cut = _TILE.sub("", name)
    return _NUMBER.sub("", cut) if cut.startswith("triton_") else cut


def _stages(before: TraceFacts, after: TraceFacts) -> list[StageChange]:
    old, new = ({stage.stage: stage for stage in facts.stages} for facts in (before, after))
    return [
        StageChange(
            stage=name,
            before_s=_each(old.get(name), "wall_s"),
            after_s=_each(new.get(name), "wall_s"),
            before_idle_s=_each(old.get(name), "gap_s"),
            after_idle_s=_each(new.get(name), "gap_s"),
        )
        for name in dict.fromkeys((*old, *new))
    ]


def _each(stage: StageTime | None, figure: Literal["wall_s", "gap_s"]) -> float:
    return getattr(stage, figure) / max(stage.calls, 1) if stage else 0.0


def _families(before: TraceFacts, after: TraceFacts) -> list[FamilyChange]:
    old, new = (_per_family(facts) for facts in (before, after))
    changes = [
        FamilyChange(family=family, before_s=old.get(family, 0.0), after_s=new.get(family, 0.0))
        for family in dict.fromkeys((*old, *new))
    ]
    return sorted(changes, key=lambda change: -abs(change.after_s - change.before_s))


def _per_family(facts: TraceFacts) -> dict[Family, float]:
    for stage in facts.stages:
        if stage.stage == DENOISER and stage.calls:
            return {family: seconds / stage.calls for family, seconds in stage.families_s.items()}
    return {}


def _kernels(before: TraceFacts, after: TraceFacts) -> list[KernelChange]:
    old, new = _sums(before), _sums(after)
    walls = {stage.stage: _each(stage, "wall_s") for facts in (after, before) for stage in facts.stages}
    steps = {stage.calls for facts in (after, before) for stage in facts.stages if stage.stage == DENOISER}
    found = []
    for key in dict.fromkeys((*old, *new)):
        first, second = old.get(key), new.get(key)
        change = (second.seconds if second else 0.0) - (first.seconds if first else 0.0)
        known = first or second
        if known is None or abs(change) < _LEAST * walls[key[1]]:
            continue
        if key[1] == BETWEEN and len(steps) > 1:  # what lies there grows with the steps
            continue
        found.append(
            KernelChange(
                turn=_turn(first, second),
                name=key[0],
                family=known.family,
                stage=key[1],
                before_calls=first.calls if first else 0.0,
                after_calls=second.calls if second else 0.0,
                before_s=first.seconds if first else 0.0,
                after_s=second.seconds if second else 0.0,
            )
        )
    return found


def _turn(first: _Sum | None, second: _Sum | None) -> Turn:
    """Say what most of a change comes from: how often the kernel runs, or how long one run takes."""
    if first is None or second is None:
        return "went" if first else "came"
    one_before, one_after = (side.seconds / (side.calls or 1) for side in (first, second))
    oftener = (second.calls - first.calls) * (one_before + one_after)  # the two add up to twice the change
    slower = (one_after - one_before) * (first.calls + second.calls)
    if abs(oftener) > abs(slower):
        return "more often" if oftener > 0 else "less often"
    return "slower" if slower > 0 else "faster"


def _sums(facts: TraceFacts) -> dict[tuple[str, str], _Sum]:
    """Return calls and seconds per call of the stage, of kernels that are the same but for tiles and numbers."""
    calls = {stage.stage: max(stage.calls, 1) for stage in facts.stages}
    sums: dict[tuple[str, str], _Sum] = {}
    for kernel in facts.kernels:
        key, times = (same_kernel(kernel.name), kernel.stage), calls.get(kernel.stage, 1)
        _, had, took = sums.get(key, _Sum(kernel.family, 0.0, 0.0))
        sums[key] = _Sum(kernel.family, had + kernel.calls / times, took + kernel.total_s / times)
    return sums
