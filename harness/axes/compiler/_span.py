"""The calls that one engine serves, and what they make of the sizes of the denoiser's inputs."""

from collections.abc import Collection
from typing import NamedTuple

from harness.axes.compiler._recording import IMAGES, Recording, record, sizes_in
from harness.core.axis import Shape
from harness.core.model import Call, TextToImage


class ShapeRange(NamedTuple):
    """`recording` is of the largest picture of all, with guidance if one has it: every cell exports the same graph.

    `sizes` are those of the recording's groups in each call, rows of the batch (images × guidance) first.
    """

    recording: Recording
    sizes: tuple[tuple[int, ...], ...]

    @property
    def rows_per_image(self) -> int:
        """Rows of the batch that one image takes: two with guidance, in most families."""
        return self.recording.sizes()[0] // IMAGES


def span(model: TextToImage, call: Call, shapes: Collection[Shape]) -> ShapeRange:
    """Return the span of the calls of these shapes; all else about them is as in `call`."""
    pixels = sorted({(shape.width, shape.height) for shape in shapes}, key=lambda size: (size[0] * size[1], size))
    guidance = max(shape.guidance for shape in shapes)

    def resized(size: tuple[int, int]) -> Call:
        return call.model_copy(update={"width": size[0], "height": size[1], "guidance": guidance})

    recording = record(model, resized(pixels[-1]))
    measured = {size: sizes_in(recording, model, resized(size)) for size in pixels[:-1]}
    measured[pixels[-1]] = recording.sizes()
    rows = recording.sizes()[0] // IMAGES
    sizes = {(rows * shape.images, *measured[shape.width, shape.height][1:]) for shape in shapes}
    return ShapeRange(recording, tuple(sorted(sizes)))
