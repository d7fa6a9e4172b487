"""The interface of a text-to-image model, its published files, and the memory a cell needs."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from pydantic import Field

from harness.core.base import Frozen
from harness.core.recipe import FamilyLines, ModelLines, NoRecipe

_NAMED = 5
"""So many prompts are named in a note; of more, the number."""


class HubFile(NamedTuple):
    """A required file of the repository `owner/name`, with any of `names`; the first is fetched."""

    repo: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.names[0]} of huggingface.co/{self.repo}"


class PublishedFile(Frozen):
    """A file of the Hub that is fetched before the first cell."""

    repo: str
    file: str
    size_bytes: int


class Footprint(Frozen):
    """Bytes on the device that a cell runs on, by role: denoiser, vae, text_encoder, text_encoder_2
    …

    A lower bound, so that no cell is skipped that would run.
    """

    weights: dict[str, float]
    """Bytes of each part's weights during image generation; 0 for a part that is offloaded."""
    activations: dict[str, float]
    """The most further bytes during one call of a part; only one part is called at a time."""
    loading: float = 0.0
    """The most bytes at an earlier moment, such as before weights are packed."""
    auto_bytes: int = 2
    """Bytes of a number in the baseline's precision on this machine."""

    @property
    def weights_bytes(self) -> float:
        return sum(self.weights.values())

    @property
    def activations_bytes(self) -> float:
        return max(self.activations.values(), default=0.0)

    @property
    def needed(self) -> float:
        """The most bytes at any moment."""
        return max(self.loading, self.weights_bytes + self.activations_bytes)

    def scaled(self, factor: float) -> "Footprint":
        """Return the footprint with numbers that are `factor` times as wide."""
        weights = {role: count * factor for role, count in self.weights.items()}
        activations = {role: count * factor for role, count in self.activations.items()}
        changes = {"weights": weights, "activations": activations, "loading": sum(weights.values())}
        return self.model_copy(update=changes)


class Download(Frozen):
    """The Hub files of a model: number, size, and missing ones."""

    files: int
    size_bytes: int
    missing: tuple[str, ...] = ()
    missing_bytes: int = 0


class ModelInfo(Frozen):
    """Facts of a model before it is loaded; `digest` changes with its weights."""

    title: str
    family: str
    width: int
    height: int
    guidance: float
    size_multiple: int
    latent: tuple[int, int] | None = None
    """Channels of a latent, and how many pixels wide one element of it is; None where there are no
    latents."""
    digest: str
    tags: frozenset[str] = frozenset()
    loras: frozenset[str] = frozenset()
    """Distillation values whose weights come with the model."""
    quality_applies: bool = True
    parameters: dict[str, int] = {}
    """Parameters of each part by role (denoiser, vae, text_encoder …); empty if unknown."""
    activations: dict[str, int] = {}
    """Least numbers in memory during one call of a part, for one image of the model's size."""
    pins: dict[str, str] = {}
    """Keys of `[model]` that fix what the matrix left open, such as the commit a branch is at."""
    notes: tuple[str, ...] = ()
    """Notes for the plan."""
    download: Download | None = None
    """Files to fetch before the first cell; None for a local model."""
    folder: str = Field(default="", exclude=True)
    """Where its files lie, for checks before anything is loaded; empty where there are none. Never
    stored."""
    scheduler: dict[str, Any] = Field(default={}, exclude=True)
    """The configuration of the model's scheduler file; empty without one. Never stored."""
    image_step_s: float = 0.01
    """Rough seconds of one denoiser pass per image, for the plan's estimate before anything was
    measured."""

    @property
    def uses_torch(self) -> bool:
        """Whether the model runs in torch, with threads to set and operations to trace."""
        return "no-torch" not in self.tags

    def guided(self, scale: float) -> bool:
        """Return whether guidance of this scale takes a second pass.

        It does not if guidance is an input of the denoiser, or the model has none.
        """
        return scale > 1 and not self.tags & {"embedded-guidance", "no-guidance"}


class CutTexts(Frozen):
    """Texts that are longer than the `tokens` of a text encoder, or why counting failed."""

    encoder: str
    tokens: int = 0
    texts: tuple[str, ...] = ()
    uncounted: str = ""

    def describe(self, prompts: Mapping[str, Collection[str | None]]) -> str:
        """Return what a reader must know of prompts, given the texts that are read of each by its
        id; else ''."""
        if self.uncounted:
            return f"it is unknown whether {self.encoder} truncates prompts: {self.uncounted}"
        long = [
            prompt_id
            for prompt_id, texts in prompts.items()
            if not set(self.texts).isdisjoint(texts)
        ]
        if not long:
            return ""
        named = ", ".join(long[:_NAMED]) + (", …" if len(long) > _NAMED else "")
        are = "are" if len(long) > 1 else "is"
        return (
            f"{len(long)} of {len(prompts)} prompts {are} longer than {self.encoder} reads "
            f"({self.tokens} tokens); "
            f"it ignores the rest of them: {named}"
        )


class Call(Frozen):
    """One call of a pipeline: `keys` are the (prompt id, seed) of each image, in the order of
    `prompts`.

    `negatives` are as many as the prompts, or none.
    """

    prompts: tuple[str, ...]
    keys: tuple[tuple[str, int], ...]
    negatives: tuple[str, ...] = ()
    steps: int
    guidance: float
    width: int
    height: int

    def of(self, places: Iterable[int]) -> "Call":
        """Return the call of the images at these places; one that is named twice is made twice."""
        chosen = tuple(places)
        lists = {"prompts": self.prompts, "keys": self.keys, "negatives": self.negatives}
        return self.model_copy(
            update={name: tuple(row[n] for n in chosen) for name, row in lists.items() if row}
        )


Arguments = dict[str, Any]
"""Keyword arguments of one call of a diffusers pipeline."""

CallHook = Callable[[Any, Call, Arguments], Arguments]
"""Given the model (or a twin of it), the call and the pipeline's arguments so far, returns the
arguments to use."""

Draw = Callable[[Any, Call], Any]
"""Given the model (or a twin of it) and the call, returns the images."""


class TextToImage(Protocol):
    """A loaded model, its parts found by role: no axis value needs to know the family.

    `pipeline` is the diffusers pipeline behind it (None without torch). `hooks` may change a call's
    arguments; `draw` makes the images and may be replaced, by a cascade for example. Both are
    shared with twins, so they take the model as their first argument and keep no model in mind.
    """

    family: ClassVar[str]
    pipeline: Any
    device: str
    hooks: list[CallHook]
    draw: Draw
    loras: dict[str, Any]
    """LoRA folders that belong to this model, by the name of the distillation value that uses them.
    """

    denoiser: Any
    """The UNet or transformer; assigning replaces it in the pipeline."""
    vae: Any
    latent: Any
    """Noise of shape (channels, rows, columns) that every image starts from; None: each from its
    own."""

    @property
    def text_encoders(self) -> dict[str, Any]:
        """Return the text encoders by their name in the pipeline: text_encoder, text_encoder_2 …"""

    def generate(self, call: Call) -> Any:
        """Return float32 images in [0, 1] of shape (n, height, width, 3); non-finite values are
        kept."""

    def text_to_image(self, call: Call) -> Any:
        """Return the images of one pass from noise: what `draw` is unless a value replaced it."""

    def image_to_image(self, call: Call, images: Any, strength: float) -> Any:
        """Return `images` of shape (n, any, any, 3) drawn anew at the call's size from `strength`
        (0–1) of its noise.

        About `strength` × `call.steps` denoiser calls. Raises UsageError where the family cannot.
        """

    def encode(
        self, prompts: tuple[str, ...], guided: bool, negatives: tuple[str, ...] = ()
    ) -> Arguments:
        """Return the pipeline's arguments that stand for prompts: tensors of shape (n, …), one row
        per prompt.

        With `guided`, those of the negative prompts too: as many as the prompts, or none for the
        empty one.
        """

    def embedded(self, arguments: Arguments, embeddings: Arguments) -> Arguments:
        """Return a call's arguments with embeddings (from `encode`) in the place of its prompts:
        for `hooks`."""

    def noise(self, keys: tuple[tuple[str, int], ...], width: int, height: int) -> Any:
        """Return the initial noise of each (prompt id, seed), on the CPU in float32, in the
        pipeline's layout."""

    def twin(self) -> "TextToImage":
        """Return a model with the same weights whose `generate` may run in another thread at the
        same time."""

    def parts(self) -> dict[str, Any]:
        """Return what is called for each stage, by role: text_encoder…, denoiser, vae.

        Each part offers torch's `register_forward_pre_hook` and `register_forward_hook`.
        """

    def weights_bytes(self) -> dict[str, int]:
        """Return the current bytes of each component's weights (packed, if quantized)."""


class ModelSource(Frozen):
    """Where a model comes from: its fields are the keys of `[model]` besides `source`.

    `prompt_set` and `metrics` are what a matrix that names none gets: models of photographs are
    judged by the field's own networks.
    """

    summary: ClassVar[str]
    prompt_set: ClassVar[str] = "everyday"
    metrics: ClassVar[tuple[str, ...]] = (
        "vqa", "clip:mlperf", "detail", "colour", "odd-images", "fid:native192",
        "fid:mlperf", "lpips:alex", "psnr", "ssim",
    )  # fmt: skip

    def describe(self) -> ModelInfo:
        """Return the facts of the model without loading it (no torch)."""
        raise NotImplementedError

    def verify(self) -> tuple[str, ...]:
        """Compare the weight files that are here with the configurations, without loading them;
        return notes.

        The plan asks, and every worker before it loads. Raises UsageError, naming file and tensors,
        for files that are damaged or lack tensors.
        """
        return ()

    def list_files(self) -> dict[str, Path]:
        """Return name → path of the files that the model is loaded from; empty where it reads none
        or some are missing."""
        return {}

    def list_adapters(self) -> dict[str, Path]:
        """Return the folders of LoRAs that come with the model, by the value that uses them."""
        return {}

    def find_cut(self, texts: Sequence[str]) -> tuple[CutTexts, ...]:
        """Return the texts that are longer than a text encoder reads, by its tokenizer (no torch);
        none if unknown."""
        return ()

    def fetch(self) -> None:
        """Fetch the missing files; MachineError if that fails."""

    def recipe(self) -> tuple[FamilyLines, ModelLines] | NoRecipe:
        """Return how a file without harness loads the same model, or why it cannot."""
        return NoRecipe(reason=f"{self.summary}: it has no recipe lines")

    def load(self, device: str, options: dict[str, Any]) -> TextToImage:
        """Load the model on `device` with the options of the axis values.

        `dtype` is torch's name of the number format, `arguments` more keyword arguments of
        `from_pretrained`, `place` where the weights are put if not on `device`, because what uses
        them fetches them from there.
        """
        raise NotImplementedError
