"""What a cell's settings really did, as people read it and as columns of a table."""

from collections.abc import Callable, Mapping

from harness.core.base import Frozen
from harness.core.outcome import Completed
from harness.reporting.named import Named
from harness.reporting.wording import number, seconds, share, size

Figure = float | int | str
_BYTES, _SHARES = ("bytes", "bytes_before", "bytes_after"), ("coverage", "share")
_PAIRS = (
    ("executed", "skipped"), ("calls", "calls_skipped"), ("quantized", "left"), ("hits", "misses"),
)  # fmt: skip
"""Endings of two figures that read best side by side: the first one is the value, the second its note."""


class AppliedEffect(Frozen):
    """What one setting did: its own sentence, and its figures in words."""

    axis: str
    value: str
    summary: str
    figures: tuple[Named, ...]


def list_applied_effects(cell: Completed) -> tuple[AppliedEffect, ...]:
    """Return what each setting of a cell did, in the order it was recorded."""
    return tuple(
        AppliedEffect(axis=did.axis, value=did.value, summary=did.summary, figures=figures_in_words(did.figures))
        for did in cell.applied
    )


def applied_columns(cell: Completed) -> dict[str, Figure]:
    """Return every figure as it was recorded (bytes, seconds, shares, counts): `applied/<axis>/<figure>`."""
    return {f"applied/{did.axis}/{name}": value for did in cell.applied for name, value in did.figures.items()}


def figures_in_words(figures: Mapping[str, Figure]) -> tuple[Named, ...]:
    """Return figures with units, each pair that belongs together as one: `Bytes` `13 MiB → 4.2 MiB` `−68 %`."""
    rest, rows = dict(figures), []
    for name in figures:
        if name not in rest:
            continue
        value = rest.pop(name)
        row = _before_and_after(name, value, rest) or _pair(name, value, rest)
        rows.append(row or Named(name=_title(name), value=_words(name)(value)))
    return tuple(rows)


def _before_and_after(name: str, value: Figure, rest: dict[str, Figure]) -> Named | None:
    stem, other = name.removesuffix("_before"), name.removesuffix("_before") + "_after"
    if stem == name or other not in rest:
        return None
    after, words = rest.pop(other), _words(stem)
    known = isinstance(value, int | float) and isinstance(after, int | float) and value
    note = share(after / value - 1) if known else ""  # type: ignore[operator]
    return Named(name=_title(stem), value=f"{words(value)} → {words(after)}", note=note)


def _pair(name: str, value: Figure, rest: dict[str, Figure]) -> Named | None:
    for first, second in _PAIRS:
        other = name.removesuffix(first) + second
        if name.endswith(first) and other in rest:
            words = second.removeprefix("calls_")
            return Named(name=_title(name), value=_plain(value), note=f"{_plain(rest.pop(other))} {words}")
    return None


def _title(name: str) -> str:
    words = name.removesuffix("_s") if name.endswith("_s") else name
    text = words.replace("_", " ").replace("onnx", "ONNX").replace("vae", "VAE").replace("lora", "LoRA")
    return text[:1].upper() + text[1:]


def _words(name: str) -> Callable[[Figure], str]:
    """Return how a figure of this name is written; words stay as they are."""
    if name.endswith(_BYTES):
        return lambda value: value if isinstance(value, str) else size(value)
    if name.endswith("_s"):
        return lambda value: value if isinstance(value, str) else seconds(value)
    if name.endswith(_SHARES):
        return lambda value: value if isinstance(value, str) else share(value)
    return _plain


def _plain(value: Figure) -> str:
    return value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else number(value)
