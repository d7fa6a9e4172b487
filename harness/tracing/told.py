"""The changes between two traces in plain sentences."""

from collections.abc import Sequence

from harness.core.trace import BETWEEN, TraceFacts
from harness.core.units import format_percent, format_seconds
from harness.tracing.changes import FamilyChange, KernelChange, StageChange, Turn
from harness.tracing.scene import DENOISER

_NAMED = 3
_TELLING = 0.05
"""Of a stage's own time that its change must reach to be told."""
_WORDS: tuple[tuple[Turn, str], ...] = (
    ("went", "Gone from"),
    ("came", "New in"),
    ("slower", "Slower in"),
    ("faster", "Faster in"),
    ("more often", "More often in"),
    ("less often", "Less often in"),
)


def tell(
    before: TraceFacts,
    after: TraceFacts,
    stages: Sequence[StageChange],
    families: Sequence[FamilyChange],
    kernels: Sequence[KernelChange],
) -> tuple[str, ...]:
    """Return what changed: the denoiser first, then its kernels, then the other stages. Under the profiler."""
    if before.device != after.device:
        return (f"The traces cannot be compared kernel by kernel: one is of a {before.device}, one of {after.device}.",)
    told = [_denoiser(change, families) for change in stages if change.stage == DENOISER]
    told += [f"{word} one denoiser call: {_named(found)}." for turn, word in _WORDS if (found := _of(kernels, turn))]
    told += [_stage(change) for change in stages if change.stage != DENOISER and _matters(change, before, after)]
    return tuple(told) or (f"No stage changed by more than {format_percent(_TELLING, 0)}.",)


def _of(kernels: Sequence[KernelChange], turn: Turn) -> list[KernelChange]:
    return [kernel for kernel in kernels if kernel.turn == turn and kernel.stage == DENOISER]


def _denoiser(change: StageChange, families: Sequence[FamilyChange]) -> str:
    parts = [(change.after_idle_s - change.before_idle_s, "pauses")]
    parts += [(found.after_s - found.before_s, found.family) for found in families]
    parts = sorted((part for part in parts if abs(part[0]) >= 0.01 * change.before_s), key=lambda part: -abs(part[0]))
    why = ", ".join(
        f"{'+' if seconds > 0 else '−'}{format_seconds(abs(seconds))} {name}" for seconds, name in parts[:3]
    )
    return f"One denoiser call under the profiler: {_from_to(change)}{f': {why}' if why else ''}."


def _stage(change: StageChange) -> str:
    name = change.stage.replace("_", " ")
    if not change.before_s or not change.after_s:
        turn, seconds = ("came", change.after_s) if change.after_s else ("went", change.before_s)
        return f"{name.capitalize()} {turn} ({format_seconds(seconds)})."
    return f"{name.capitalize()}: {_from_to(change)}."


def _from_to(change: StageChange) -> str:
    text = f"{format_seconds(change.before_s)} → {format_seconds(change.after_s)}"
    if not change.before_s:
        return text
    percent = format_percent(change.after_s / change.before_s - 1, 0)
    return f"{text} ({'+' if change.after_s > change.before_s else ''}{percent})"


def _matters(change: StageChange, before: TraceFacts, after: TraceFacts) -> bool:
    """What lies between the stages grows with the steps: it is held against the other only where they are as many."""
    if change.stage == BETWEEN and _steps(before) != _steps(after):
        return False
    return abs(change.after_s - change.before_s) > _TELLING * max(change.before_s, change.after_s)


def _steps(facts: TraceFacts) -> int:
    return next((stage.calls for stage in facts.stages if stage.stage == DENOISER), 0)


def _named(kernels: Sequence[KernelChange]) -> str:
    """Name the largest changes, and say how many more there are."""
    words = [_one(kernel) for kernel in kernels[:_NAMED]]
    left = kernels[_NAMED:]
    if left:
        total = sum(kernel.change_s for kernel in left)
        words.append(f"{len(left)} more ({'+' if total > 0 else '−'}{format_seconds(abs(total))})")
    return ", ".join(words)


def _one(kernel: KernelChange) -> str:
    if kernel.turn in ("came", "went"):
        calls, seconds = kernel.before_calls + kernel.after_calls, kernel.before_s + kernel.after_s
        return f"{kernel.name} ({calls:.3g} times, {format_seconds(seconds)})"
    counts = f"{kernel.before_calls:.3g} → {kernel.after_calls:.3g} times, "
    often = counts if kernel.before_calls != kernel.after_calls else ""
    return f"{kernel.name} ({often}{format_seconds(kernel.before_s)} → {format_seconds(kernel.after_s)})"
