"""Compare two traces: new, gone, slower and more frequent kernels, per call of their stage."""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from harness.core.base import Frozen
from harness.core.trace import BETWEEN, Family, StageTime, TraceFacts
from harness.core.units import format_percent, format_seconds
from harness.tracing.traced_cell import DENOISER

ChangeKind = Literal["came", "went", "slower", "faster", "more often", "less often"]
"""Slower or faster: most of the change is in the time of one run; more or less often: in the number
of runs."""


class StageChange(Frozen):
    """One call of a stage before and after (BETWEEN: all of it); `idle`: the device had no work."""

    stage: str
    before_s: float
    after_s: float
    before_idle_s: float
    after_idle_s: float


class FamilyChange(Frozen):
    """The kernels of one family in one call of the denoiser, before and after."""

    family: Family
    before_s: float
    after_s: float


class KernelChange(Frozen):
    """A kernel in one call of a stage; of a new or gone kernel the other side is 0."""

    change_kind: ChangeKind
    name: str
    family: Family
    stage: str
    before_calls: float
    after_calls: float
    before_s: float
    after_s: float

    @property
    def change_s(self) -> float:
        return self.after_s - self.before_s


class TraceDiff(Frozen):
    """The changes between two traces.

    `kernels` are those that change by at least 1 % of their stage.
    """

    stages: tuple[StageChange, ...]
    families: tuple[FamilyChange, ...]
    kernels: tuple[KernelChange, ...]
    sentences: tuple[str, ...]


_NAMED = 3
_SIGNIFICANT = 0.05
"""Least change of a stage, as a share of its time, that gets a sentence."""
_WORDS: tuple[tuple[ChangeKind, str], ...] = (
    ("went", "Gone from"),
    ("came", "New in"),
    ("slower", "Slower in"),
    ("faster", "Faster in"),
    ("more often", "More often in"),
    ("less often", "Less often in"),
)


def describe_changes(
    before: TraceFacts,
    after: TraceFacts,
    stages: Sequence[StageChange],
    families: Sequence[FamilyChange],
    kernels: Sequence[KernelChange],
) -> tuple[str, ...]:
    """Return the changes in sentences: the denoiser, its kernels, then the other stages."""
    if before.device != after.device:
        return (
            (
                f"The traces cannot be compared kernel by kernel: one is of a {before.device}, one "
                f"of {after.device}."
            ),
        )
    described = [_denoiser(change, families) for change in stages if change.stage == DENOISER]
    described += [
        f"{word} one denoiser call: {_named(found)}."
        for change_kind, word in _WORDS
        if (found := _select(kernels, change_kind))
    ]
    described += [
        _stage(change)
        for change in stages
        if change.stage != DENOISER and _matters(change, before, after)
    ]
    return tuple(described) or (
        f"No stage changed by more than {format_percent(_SIGNIFICANT, 0)}.",
    )


def _select(kernels: Sequence[KernelChange], change_kind: ChangeKind) -> list[KernelChange]:
    return [
        kernel
        for kernel in kernels
        if kernel.change_kind == change_kind and kernel.stage == DENOISER
    ]


def _denoiser(change: StageChange, families: Sequence[FamilyChange]) -> str:
    parts = [(change.after_idle_s - change.before_idle_s, "pauses")]
    parts += [(found.after_s - found.before_s, found.family) for found in families]
    parts = sorted(
        (part for part in parts if abs(part[0]) >= 0.01 * change.before_s),
        key=lambda part: -abs(part[0]),
    )
    why = ", ".join(
        f"{'+' if seconds > 0 else '−'}{format_seconds(abs(seconds))} {name}"
        for seconds, name in parts[:3]
    )
    return f"One denoiser call under the profiler: {_from_to(change)}{f': {why}' if why else ''}."


def _stage(change: StageChange) -> str:
    name = change.stage.replace("_", " ")
    if not change.before_s or not change.after_s:
        change_kind, seconds = (
            ("came", change.after_s) if change.after_s else ("went", change.before_s)
        )
        return f"{name.capitalize()} {change_kind} ({format_seconds(seconds)})."
    return f"{name.capitalize()}: {_from_to(change)}."


def _from_to(change: StageChange) -> str:
    text = f"{format_seconds(change.before_s)} → {format_seconds(change.after_s)}"
    if not change.before_s:
        return text
    percent = format_percent(change.after_s / change.before_s - 1, 0)
    return f"{text} ({'+' if change.after_s > change.before_s else ''}{percent})"


def _matters(change: StageChange, before: TraceFacts, after: TraceFacts) -> bool:
    """Return whether a stage changed; time between stages counts only at equal steps."""
    if change.stage == BETWEEN and _steps(before) != _steps(after):
        return False
    return abs(change.after_s - change.before_s) > _SIGNIFICANT * max(
        change.before_s, change.after_s
    )


def _steps(facts: TraceFacts) -> int:
    return next((stage.calls for stage in facts.stages if stage.stage == DENOISER), 0)


def _named(kernels: Sequence[KernelChange]) -> str:
    """Return the largest changes by name, and the number of others."""
    words = [_one(kernel) for kernel in kernels[:_NAMED]]
    left = kernels[_NAMED:]
    if left:
        total = sum(kernel.change_s for kernel in left)
        words.append(f"{len(left)} more ({'+' if total > 0 else '−'}{format_seconds(abs(total))})")
    return ", ".join(words)


def _one(kernel: KernelChange) -> str:
    if kernel.change_kind in ("came", "went"):
        calls, seconds = kernel.before_calls + kernel.after_calls, kernel.before_s + kernel.after_s
        return f"{kernel.name} ({calls:.3g} times, {format_seconds(seconds)})"
    counts = f"{kernel.before_calls:.3g} → {kernel.after_calls:.3g} times, "
    often = counts if kernel.before_calls != kernel.after_calls else ""
    return (
        f"{kernel.name} ({often}{format_seconds(kernel.before_s)} → "
        f"{format_seconds(kernel.after_s)})"
    )


_TILE = re.compile(r"[_-](?:\d+x\d+|tilesize\d|ldg\d|stages?_?\d).*$")
_NUMBER = re.compile(r"(?<=\w)_\d+(?:d\w*)?$")
_LEAST = 0.01
"""Least change of a kernel, as a share of its stage's time, that is listed."""


class _Sum(NamedTuple):
    family: Family
    calls: float
    seconds: float


def compare(before: TraceFacts, after: TraceFacts) -> TraceDiff:
    """Return the changes between two traces, the largest first.

    The traces may have different numbers of steps: one call of the denoiser, of the VAE and so on
    is compared. Kernels are the same if they differ only in the tile that a library chose or the
    number that a compiler assigned.
    """
    stages = tuple(_stages(before, after))
    kernels = tuple(sorted(_kernels(before, after), key=lambda change: -abs(change.change_s)))
    families = tuple(_families(before, after))
    return TraceDiff(
        stages=stages,
        families=families,
        kernels=kernels,
        sentences=describe_changes(before, after, stages, families, kernels),
    )


def strip_variant(name: str) -> str:
    """Return a kernel's name without tile or number: `triton_poi_fused_add` for `…_add_7`."""
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
    walls = {
        stage.stage: _each(stage, "wall_s") for facts in (after, before) for stage in facts.stages
    }
    steps = {
        stage.calls
        for facts in (after, before)
        for stage in facts.stages
        if stage.stage == DENOISER
    }
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
                change_kind=_classify(first, second),
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


def _classify(first: _Sum | None, second: _Sum | None) -> ChangeKind:
    """Return whether a change is mostly one of the kernel's count or of its duration."""
    if first is None or second is None:
        return "went" if first else "came"
    one_before, one_after = (side.seconds / (side.calls or 1) for side in (first, second))
    oftener = (second.calls - first.calls) * (
        one_before + one_after
    )  # the two add up to twice the change
    slower = (one_after - one_before) * (first.calls + second.calls)
    if abs(oftener) > abs(slower):
        return "more often" if oftener > 0 else "less often"
    return "slower" if slower > 0 else "faster"


def _sums(facts: TraceFacts) -> dict[tuple[str, str], _Sum]:
    """Return calls and seconds per call of the stage, by kernel without tiles and numbers."""
    calls = {stage.stage: max(stage.calls, 1) for stage in facts.stages}
    sums: dict[tuple[str, str], _Sum] = {}
    for kernel in facts.kernels:
        key, times = (strip_variant(kernel.name), kernel.stage), calls.get(kernel.stage, 1)
        _, had, took = sums.get(key, _Sum(kernel.family, 0.0, 0.0))
        sums[key] = _Sum(kernel.family, had + kernel.calls / times, took + kernel.total_s / times)
    return sums
