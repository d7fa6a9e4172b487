"""Where labels of chart points go so that they do not cover one another."""

from dataclasses import dataclass

_LETTER_PX, _LINE_PX, _GAP_PX = 6.4, 15.0, 11.0


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
