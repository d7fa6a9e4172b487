"""What stands in front of a denoiser for one pass, to answer for it or to remember. Imports torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

from harness.core.model import TextToImage

Front = TypeVar("Front", bound="InFront")


class InFront(torch.nn.Module):
    """Looks like the denoiser behind it to a pipeline; a subclass says what `forward` does."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.__dict__["inner"] = inner  # not a submodule: the pipeline moves and counts the real one

    @property
    def dtype(self) -> Any:
        return self.inner.dtype

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["inner"], name)

    def answer(self, rows: list[torch.Tensor]) -> tuple[torch.Tensor]:
        """Return predictions of shape (branches, …), one tensor per image, as the denoiser returns a batch of them.

        Branches are those of guidance: a batch has all images without the prompt, then all with it.
        """
        return (torch.stack(rows, dim=1).flatten(0, 1).to(self.inner.device, self.dtype),)


def per_image(output: Any, images: int) -> torch.Tensor:
    """Return what a denoiser returned for a batch, of shape (branches, images, …), on the CPU."""
    return output[0].unflatten(0, (-1, images)).detach().cpu()


@contextmanager
def standing(model: TextToImage, front: Front) -> Iterator[Front]:
    """Put `front` in the denoiser's place for a while."""
    denoiser = model.denoiser
    model.denoiser = front
    try:
        yield front
    finally:
        model.denoiser = denoiser
