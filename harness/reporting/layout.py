"""Where things lie in charts: the axis of losses, label places, shapes and colours of standings."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.results import Standing
from harness.results.pareto import LossAxis, ParetoPoint

CAP = 2.0
"""Losses above 200 % (or ten margins) are drawn at the edge; tables give the true value."""
_TICKS = (
    -1.0, -0.5, -0.2, -0.1, -0.05, -0.02, -0.01, 0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1,
    0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0,
)  # fmt: skip


_LETTER_PX, _LINE_PX, _GAP_PX = 6.4, 15.0, 11.0
_CROWD = 24  # more points than this: only the front and the baseline are named


PATHS: dict[Standing, str] = {
    "baseline": "M0,-1.15L1.15,0L0,1.15L-1.15,0Z",
    "pass": "M1,0A1,1,0,1,1,-1,0A1,1,0,1,1,1,0Z",
    "fail": "M-1,-0.55L-0.55,-1L0,-0.45L0.55,-1L1,-0.55L0.45,0L1,0.55L0.55,1L0,0.45L-0.55,1L-1,0.55"
    "L-0.45,0Z",
    "inconclusive": "M0,-1.05L1.1,0.85L-1.1,0.85Z",
    "missing": "M-0.85,-0.85L0.85,-0.85L0.85,0.85L-0.85,0.85Z",
    "unjudged": "M-0.85,-0.85L0.85,-0.85L0.85,0.85L-0.85,0.85Z",
    "skipped": "M-1,-0.3L1,-0.3L1,0.3L-1,0.3Z",
    "failed": "M-1,-0.3L1,-0.3L1,0.3L-1,0.3Z",
    "pending": "M-1,-0.3L1,-0.3L1,0.3L-1,0.3Z",
}
"""One shape per standing: SVG paths within −1 … 1 for charts, tables and legends."""

PRINT_COLOURS: dict[Standing, str] = {
    "baseline": "#1d2433",
    "pass": "#0b7a5b",
    "fail": "#c2341d",
    "inconclusive": "#a86b00",
    "missing": "#6b7280",
    "unjudged": "#4a5a78",
    "skipped": "#8a909c",
    "failed": "#8a909c",
    "pending": "#8a909c",
}
"""Colours of printed figures; the page has the same names in its style sheet (`--pass` …)."""

FAMILY_COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f5fb5", "#8c6d31",
)  # fmt: skip
"""Colours of families of techniques: distinct for colour-blind readers, on light and dark."""
RUN_SHAPES = (
    ("circle", "o"), ("square", "s"), ("triangle-up", "^"), ("diamond", "D"),
    ("triangle-down", "v"), ("cross", "P"),
)  # fmt: skip
"""Shapes of the runs in a joint chart: Vega's names and matplotlib's."""


def name_colour(standing: Standing) -> str:
    """Return the CSS variable of a standing's colour: dark mode needs no redraw."""
    return f"var(--{standing})"


@dataclass(frozen=True)
class LossScale:
    """Maps losses between `low` and `high` to positions from 0 to 1, linear up to about `knee`.

    `marked` are the margins, whose ticks come first.
    """

    low: float
    high: float
    knee: float
    marked: tuple[float, ...] = ()

    def warp(self, loss: float) -> float:
        """Return the loss on the warped axis, unbounded."""
        return math.copysign(math.log1p(abs(loss) / self.knee), loss)

    def position(self, loss: float) -> float:
        """Return the position of a loss, limited to 0 and 1."""
        start, end = self.warp(self.low), self.warp(self.high)
        return min(max((self.warp(loss) - start) / (end - start), 0.0), 1.0)

    def percent(self, loss: float) -> float:
        """Return the position of a loss in percent."""
        return 100 * self.position(loss)

    def ticks(self, spacing: float) -> list[float]:
        """Return round losses at least `spacing` of the axis apart; 0 and margins come first."""
        wanted = [
            0.0,
            *self.marked,
            *sorted(_TICKS, key=lambda tick: (abs(math.log10(abs(tick) or 1)), tick)),
        ]
        chosen: list[float] = []
        for tick in wanted:
            fits = self.low <= tick <= self.high
            if fits and all(
                abs(self.position(tick) - self.position(other)) >= spacing for other in chosen
            ):
                chosen.append(tick)
        return sorted(chosen)


def fit_loss_scale(losses: list[float], knee: float, marked: tuple[float, ...] = ()) -> LossScale:
    """Return a scale for all losses, the margins and twice the knee, with a little air."""
    cap = max(CAP, 10 * knee)
    low = max(min([0.0, *losses, *marked]), -cap / 2)
    high = min(max([2 * knee, *losses, *marked]), cap)
    return LossScale(
        low=low * 1.1 - 0.1 * knee, high=min(high * 1.08, cap), knee=knee, marked=marked
    )


@dataclass(frozen=True)
class Label:
    """A label's offset from its point in pixels, left or right of it; `shown` if there is space."""

    dx: float
    dy: float
    align: str
    shown: bool


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Box") -> bool:
        """Whether two boxes overlap."""
        return (
            self.right >= other.left
            and other.right >= self.left
            and self.bottom >= other.top
            and other.bottom >= self.top
        )


_PLACES = tuple(
    (align, dy) for dy in (0.0, -14.0, 14.0, -26.0, 26.0) for align in ("left", "right")
)


def place_labels(
    points: list[tuple[float, float]], names: list[str], width: float, obstacles: list[Box]
) -> list[Label]:
    """Return a place for each name next to its point (pixels from the top left), in order."""
    taken = [Box(x - 7, y - 7, x + 7, y + 7) for x, y in points] + obstacles
    labels = []
    for (x, y), name in zip(points, names, strict=True):
        length = _LETTER_PX * len(name)
        chosen = Label(0, 0, "left", shown=False)
        for align, dy in _PLACES:
            left = x + _GAP_PX if align == "left" else x - _GAP_PX - length
            box = Box(left, y + dy - _LINE_PX / 2, left + length, y + dy + _LINE_PX / 2)
            if (
                name
                and box.left >= 0
                and box.right <= width
                and not any(box.meets(other) for other in taken)
            ):
                chosen = Label(_GAP_PX if align == "left" else -_GAP_PX, dy, align, shown=True)
                taken.append(box)
                break
        labels.append(chosen)
    return labels


@dataclass(frozen=True)
class ParetoFrame:
    """The axes of a Pareto chart of `size` pixels; seconds are logarithmic if wide."""

    low_s: float
    high_s: float
    wide: bool
    scale: LossScale
    size: tuple[float, float]

    def spot(self, latency_s: float, loss: float) -> tuple[float, float]:
        """Return where (seconds, loss) stands, in pixels from the top left."""
        warp = math.log if self.wide else float
        x = (warp(latency_s) - warp(self.low_s)) / (warp(self.high_s) - warp(self.low_s))
        return x * self.size[0], (1 - self.scale.position(loss)) * self.size[1]

    def time_ticks(self) -> list[float]:
        """Return 1-2-5 ticks in seconds."""
        decades = range(math.floor(math.log10(self.low_s)), math.ceil(math.log10(self.high_s)) + 1)
        ticks = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
        return [tick for tick in ticks if self.low_s <= tick <= self.high_s]

    def labels(self, points: Sequence[ParetoPoint]) -> list[Label]:
        """Return a place for each point's name: baseline and front first, then the others."""
        ordered = sorted(points, key=lambda point: (not point.cell.is_baseline, not point.on_front))
        spots = [self.spot(point.image_s.estimate, point.loss.estimate) for point in ordered]
        crowded = len(points) > _CROWD
        names = [
            point.cell.id if not crowded or point.on_front or point.cell.is_baseline else ""
            for point in ordered
        ]
        labels = place_labels(spots, names, self.size[0], self.obstacles(points))
        placed = {point.cell.id: label for point, label in zip(ordered, labels, strict=True)}
        return [placed[point.cell.id] for point in points]

    def obstacles(self, points: Sequence[ParetoPoint]) -> list[Box]:
        """Return what labels must not cover: intervals, the front's steps, the margin, the axis."""
        width, height = self.size
        levels = [self.spot(self.low_s, margin)[1] for margin in self.scale.marked]
        boxes = [Box(0, level - 1, width, level + 1) for level in levels]
        boxes.append(Box(0, height - 1, width, height + 30))
        for _, time, loss, *_ in points:
            x, y = self.spot(time.estimate, loss.estimate)
            left, top = self.spot(time.low, loss.high)
            right, bottom = self.spot(time.high, loss.low)
            boxes += [Box(x - 2, top, x + 2, bottom), Box(left, y - 2, right, y + 2)]
        front = sorted((p for p in points if p.on_front), key=lambda p: p.image_s.estimate)
        for pair in pairwise(front):
            ends = (self.spot(point.image_s.estimate, point.loss.estimate) for point in pair)
            (x, y), (end, bottom) = ends
            boxes += [Box(x, y - 1, end, y + 1), Box(end - 1, y, end + 1, bottom)]
        return boxes


def make_pareto_frame(
    points: Sequence[ParetoPoint], axis: LossAxis, size: tuple[float, float]
) -> ParetoFrame:
    """Return axes with some air; time is logarithmic if it spans more than a factor of 3."""
    times, losses = [point.image_s for point in points], [point.loss for point in points]
    least, most = min(time.low for time in times), max(time.high for time in times)
    estimates = [time.estimate for time in times]
    wide = max(estimates) > 3 * min(estimates)
    air = 0.12 * (most - least + 0.2 * least)
    low, high = (least / 1.25, most * 1.25) if wide else (least - air, most + air)
    marked = () if axis.margin is None else (axis.margin,)
    scale = fit_loss_scale(
        [end for loss in losses for end in (loss.low, loss.high)], axis.knee, marked
    )
    return ParetoFrame(low_s=low, high_s=high, wide=wide, scale=scale, size=size)
