"""Where labels of chart points go so that they do not cover one another."""

import math
from dataclasses import dataclass
from itertools import pairwise

from harness.reporting.pareto import LossAxis, Point
from harness.reporting.scale import LossScale, loss_scale

_LETTER_PX, _LINE_PX, _GAP_PX = 6.4, 15.0, 11.0
_CROWD = 24  # more points than this: only the front and the baseline are named


@dataclass(frozen=True)
class Label:
    """A label's offset from its point in pixels; `align` is left or right of the point, `shown` if it found room."""

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
        apart = self.right < other.left or other.right < self.left or self.bottom < other.top or other.bottom < self.top
        return not apart


_PLACES = tuple((align, dy) for dy in (0.0, -14.0, 14.0, -26.0, 26.0) for align in ("left", "right"))


def place_labels(
    points: list[tuple[float, float]], names: list[str], width: float, obstacles: list[Box]
) -> list[Label]:
    """Return a place for each name beside its point (pixels from the top left), earlier names first."""
    taken = [Box(x - 7, y - 7, x + 7, y + 7) for x, y in points] + obstacles
    labels = []
    for (x, y), name in zip(points, names, strict=True):
        length = _LETTER_PX * len(name)
        chosen = Label(0, 0, "left", shown=False)
        for align, dy in _PLACES:
            left = x + _GAP_PX if align == "left" else x - _GAP_PX - length
            box = Box(left, y + dy - _LINE_PX / 2, left + length, y + dy + _LINE_PX / 2)
            if name and box.left >= 0 and box.right <= width and not any(box.meets(other) for other in taken):
                chosen = Label(_GAP_PX if align == "left" else -_GAP_PX, dy, align, shown=True)
                taken.append(box)
                break
        labels.append(chosen)
    return labels


@dataclass(frozen=True)
class ParetoFrame:
    """The axes of a Pareto chart of `size` pixels: seconds from `low_s` to `high_s` (logarithmic if wide), losses."""

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

    def labels(self, points: tuple[Point, ...]) -> list[Label]:
        """Return a place for each point's name: baseline and front first, the others where room is left."""
        order = sorted(range(len(points)), key=lambda i: (points[i].standing != "baseline", not points[i].front))
        spots = [self.spot(points[i].latency_s, points[i].loss) for i in order]
        crowded = len(points) > _CROWD
        named = [not crowded or points[i].front or points[i].standing == "baseline" for i in order]
        names = [points[i].cell_id if keep else "" for i, keep in zip(order, named, strict=True)]
        placed = dict(zip(order, place_labels(spots, names, self.size[0], self.obstacles(points)), strict=True))
        return [placed[i] for i in range(len(points))]

    def obstacles(self, points: tuple[Point, ...]) -> list[Box]:
        """Return what labels must not cover: intervals, the front's steps, the margin, the axis."""
        width, height = self.size
        levels = [self.spot(self.low_s, margin)[1] for margin in self.scale.marked]
        boxes = [Box(0, level - 1, width, level + 1) for level in levels]
        boxes.append(Box(0, height - 1, width, height + 30))
        for point in points:
            x, y = self.spot(point.latency_s, point.loss)
            top, bottom = (self.spot(point.latency_s, loss)[1] for loss in (point.loss_high, point.loss_low))
            left, right = (self.spot(latency, point.loss)[0] for latency in (point.latency_low_s, point.latency_high_s))
            boxes += [Box(x - 2, top, x + 2, bottom), Box(left, y - 2, right, y + 2)]
        front = sorted((point for point in points if point.front), key=lambda point: point.latency_s)
        for here, there in pairwise(front):
            (x, y), (end, bottom) = self.spot(here.latency_s, here.loss), self.spot(there.latency_s, there.loss)
            boxes += [Box(x, y - 1, end, y + 1), Box(end - 1, y, end + 1, bottom)]
        return boxes


def pareto_frame(points: tuple[Point, ...], axis: LossAxis, size: tuple[float, float]) -> ParetoFrame:
    """Return axes with some air around the points; time is logarithmic where it spans more than a factor of 3."""
    least, most = min(point.latency_low_s for point in points), max(point.latency_high_s for point in points)
    wide = max(point.latency_s for point in points) > 3 * min(point.latency_s for point in points)
    air = 0.12 * (most - least + 0.2 * least)
    low, high = (least / 1.25, most * 1.25) if wide else (least - air, most + air)
    marked = () if axis.margin is None else (axis.margin,)
    scale = loss_scale([end for point in points for end in (point.loss_low, point.loss_high)], axis.knee, marked)
    return ParetoFrame(low_s=low, high_s=high, wide=wide, scale=scale, size=size)
