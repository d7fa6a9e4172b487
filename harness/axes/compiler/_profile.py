"""The shapes that an engine is built for."""

from typing import NamedTuple

from harness.axes.compiler._recording import IMAGES, Recording

Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


class Profile(NamedTuple):
    """Least, usual and greatest shape of each input, and the rows (images × guidance) of the least and greatest."""

    shapes: dict[str, Shapes]
    min_rows: int
    max_rows: int

    @classmethod
    def of(cls, recording: Recording, batch: int, max_batch: int, dynamic: bool) -> "Profile":
        """Return the profile of a cell that makes `batch` images a call, at most `max_batch`."""
        sizes = recording.sizes()
        per_image = sizes[0] // IMAGES
        shrink = 4 if len(sizes) > 2 else 16  # a packed sequence shrinks with both sides
        least = [1, *(max(1, size // shrink) for size in sizes[1:])] if dynamic else [per_image * batch, *sizes[1:]]
        usual = [per_image * batch, *sizes[1:]]
        greatest = [per_image * max(batch, max_batch if dynamic else batch), *sizes[1:]]
        shapes = {
            name: tuple(_shape(recording, name, bounds) for bounds in (least, usual, greatest))
            for name in recording.inputs.tensors
        }
        return cls(shapes, least[0], greatest[0])  # type: ignore[arg-type]


def _shape(recording: Recording, name: str, bounds: list[int]) -> tuple[int, ...]:
    shape = list(recording.inputs.tensors[name].shape)
    for group, size in zip(recording.groups, bounds, strict=True):
        for place, axis in group:
            if place == name:
                shape[axis] = size
    return tuple(shape)
