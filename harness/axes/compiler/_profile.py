"""The shapes that an engine is built for."""

import math
from typing import NamedTuple

from harness.axes.compiler._recording import Recording
from harness.axes.compiler._span import ShapeRange

Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


class Profile(NamedTuple):
    """Least, usual and greatest shape of each input, and the rows (images × guidance) of the least and greatest."""

    shapes: dict[str, Shapes]
    min_rows: int
    max_rows: int

    @classmethod
    def of(cls, span: ShapeRange, dynamic: bool, max_batch: int = 0) -> "Profile":
        """Return the profile that takes every call of a span; tuned for the one with the most work.

        Dynamic: all between one image, a quarter of the longest side (a cascade's first stages), and the greatest of
        each, or `max_batch` images. Else the span is of one call, and the profile takes nothing but that.
        """
        columns = list(zip(*span.sizes, strict=True))
        usual = max(span.sizes, key=math.prod)
        greatest = [max(column) for column in columns]
        least = list(usual)
        if dynamic:
            shrink = 4 if len(columns) > 2 else 16  # a packed sequence shrinks with both sides
            least = [1, *(min(*column, max(1, max(column) // shrink)) for column in columns[1:])]
            greatest[0] = max(greatest[0], span.rows_per_image * max_batch)
        shapes = {
            name: tuple(_shape(span.recording, name, bounds) for bounds in (least, usual, greatest))
            for name in span.recording.inputs.tensors
        }
        return cls(shapes, least[0], greatest[0])  # type: ignore[arg-type]

    @property
    def figures(self) -> dict[str, str]:
        """The range of the denoiser's first input, the image or its tokens, under TensorRT's own words."""
        bounds = next(iter(self.shapes.values()))
        names = ("profile_min", "profile_opt", "profile_max")
        return {name: "x".join(map(str, shape)) for name, shape in zip(names, bounds, strict=True)}


def _shape(recording: Recording, name: str, bounds: "list[int] | tuple[int, ...]") -> tuple[int, ...]:
    shape = list(recording.inputs.tensors[name].shape)
    for group, size in zip(recording.groups, bounds, strict=True):
        for place, axis in group:
            if place == name:
                shape[axis] = size
    return tuple(shape)
