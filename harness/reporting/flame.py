"""The timeline of a traced call as bars: stages above, steps and regions beneath what they belong to."""

from harness.core.base import Frozen
from harness.core.trace import TraceFacts
from harness.reporting.forest import Tick
from harness.reporting.strips import round_ticks
from harness.reporting.wording import seconds, share

_SPACE = 0.75
"""Percent of the width that a letter of a label takes on a desktop; a bar too narrow for its name has none."""


class Bar(Frozen):
    """One range: its left end and width in percent, its row, a number that picks its colour, a label if it fits."""

    left: float
    width: float
    row: int
    colour: int
    label: str
    text: str


class Flame(Frozen):
    """All bars over one axis of seconds."""

    bars: tuple[Bar, ...]
    rows: int
    ticks: tuple[Tick, ...]
    left_out: int


def build_flame(facts: TraceFacts, most: int) -> Flame | None:
    """Return the timeline of a trace, or None where it has no ranges; beyond `most` the shortest are left out."""
    spans = facts.timeline
    if not spans:
        return None
    start = min(span.begin_s for span in spans)
    end = max(span.begin_s + span.seconds for span in spans)
    whole = (end - start) or 1.0
    longest = sorted(spans, key=lambda span: (-span.seconds, span.depth))[:most]
    colours = {name: index for index, name in enumerate(dict.fromkeys(s.name for s in spans if not s.depth))}
    bars, stage = [], 0
    for span in sorted(longest, key=lambda span: (span.begin_s, span.depth)):
        stage = colours.get(span.name, stage) if not span.depth else stage
        width = 100 * span.seconds / whole
        name = span.name.replace("_", " ")
        bars.append(Bar(
            left=round(100 * (span.begin_s - start) / whole, 3), width=round(width, 3), row=span.depth,
            colour=stage % 6, label=name if len(name) * _SPACE < width else "",
            text=f"{name}: {seconds(span.seconds)}, {share(width / 100)}, from {seconds(span.begin_s - start)}",
        ))  # fmt: skip
    ticks = tuple(Tick(at=round(100 * tick / whole, 2), label=seconds(tick) if tick else "0")
                  for tick in round_ticks(0.0, whole, 6))  # fmt: skip
    rows = 1 + max(bar.row for bar in bars)
    return Flame(bars=tuple(bars), rows=rows, ticks=ticks, left_out=facts.ranges_left_out + len(spans) - len(longest))
