"""What the harness needs of a text-to-image model, whatever it is made of."""

from typing import Any, ClassVar, Protocol

from harness.core.base import Frozen


class ModelInfo(Frozen):
    """What is known of a model before it is loaded; `digest` changes when its weights do."""

    title: str
    family: str
    width: int
    height: int
    guidance: float
    size_multiple: int
    digest: str
    tags: frozenset[str] = frozenset()
    quality_applies: bool = True
    image_step_s: float = 0.01
    """Rough seconds of one denoiser pass per image, for the plan's estimate before anything was measured."""

    @property
    def uses_torch(self) -> bool:
        """Whether the model runs in torch, with threads to set and operations to trace."""
        return "no-torch" not in self.tags


class Call(Frozen):
    """One call of a pipeline: `keys` are the (prompt id, seed) of each image, in the order of `prompts`."""

    prompts: tuple[str, ...]
    keys: tuple[tuple[str, int], ...]
    steps: int
    guidance: float
    width: int
    height: int


class TextToImage(Protocol):
    """A loaded model. `pipeline` is the object that axis values work on (a diffusers pipeline)."""

    pipeline: Any
    device: str

    def generate(self, call: Call) -> Any:
        """Return float32 images in [0, 1] of shape (n, height, width, 3); non-finite values are kept."""

    def twin(self) -> "TextToImage":
        """Return a model with the same weights whose `generate` may run in another thread at the same time."""

    def parts(self) -> dict[str, Any]:
        """Return what is called for each stage, by role: text_encoder…, denoiser, vae.

        Each part offers torch's `register_forward_pre_hook` and `register_forward_hook`.
        """

    def weights_bytes(self) -> dict[str, int]:
        """Return the bytes of each part's weights."""


class ModelSource(Frozen):
    """Where a model comes from: its fields are the keys of `[model]` besides `source`."""

    summary: ClassVar[str]

    def describe(self) -> ModelInfo:
        """Return the facts of the model without loading it (no torch)."""
        raise NotImplementedError

    def load(self, device: str, options: dict[str, Any]) -> TextToImage:
        """Load the model on `device`; `options` come from the axis values (`dtype`: torch's name of it)."""
        raise NotImplementedError
