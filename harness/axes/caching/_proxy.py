"""Proxies of the denoiser, stored predictions and stored prompt embeddings. Imports torch."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch

from harness.axes.caching._store import (
    Tensors,
    TensorStore,
    identify_denoising,
    identify_encoders,
)
from harness.core.model import Arguments, Call, TextToImage
from harness.core.trace import region
from harness.weights_digest import digest_facts, digest_tensor

IN_MEMORY = 64
"""Prompts whose embeddings stay in memory, least recently used first: T5's are 4 MiB in FP16."""
PER_IMAGE = ("prompt", "negative_prompt", "generator", "latents", "image")
"""Arguments of a pipeline that differ between images; an image's key covers their content."""

Proxy = TypeVar("Proxy", bound="DenoiserProxy")


class DenoiserProxy(torch.nn.Module):
    """Takes the denoiser's place in a pipeline; a subclass defines `forward`."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.__dict__["inner"] = (
            inner  # not a submodule: the pipeline moves and counts the real one
        )

    @property
    def dtype(self) -> Any:
        return self.inner.dtype

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["inner"], name)

    def join_batch(self, rows: list[torch.Tensor]) -> tuple[torch.Tensor]:
        """Return each image's predictions, of shape (branches, …), as one output of the denoiser.

        Branches are those of guidance: a batch has all images without prompt, then all with it.
        """
        batch = torch.stack(rows, dim=1).flatten(0, 1)
        return (batch.to(self.inner.device, self.dtype),)


@contextmanager
def replace_denoiser(model: TextToImage, proxy: Proxy) -> Iterator[Proxy]:
    """Put a proxy in the denoiser's place."""
    denoiser = model.denoiser
    model.denoiser = proxy
    try:
        yield proxy
    finally:
        model.denoiser = denoiser


class RecordingComplete(Exception):
    """The first calls are recorded: the rest of the image is not needed."""


class PredictionProxy(DenoiserProxy):
    """Answers the first calls with stored predictions, or records them; computes the others.

    It may carry the embeddings of the prompts, if they were encoded to compare them.
    """

    def __init__(self, inner: Any, calls: int, embeddings: Tensors | None = None) -> None:
        super().__init__(inner)
        self.calls, self.embeddings = calls, embeddings
        self.stops = False
        """Whether to end the pipeline call after the recorded calls, by RecordingComplete."""
        self.replayed = self.computed = 0
        self.begin((), [])

    def begin(self, keys: Sequence[Any], known: list[torch.Tensor]) -> None:
        """Start a pipeline call for the images of these keys.

        `known` are each image's predictions, of shape (calls, branches, …); without them, the first
        calls are recorded.
        """
        self.keys, self.known, self.number = keys, known, 0
        self.outputs: list[torch.Tensor] = []

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        self.number += 1
        first = self.number <= self.calls
        if self.known and first:
            self.replayed += 1
            with region("step from stored predictions"):
                return self.join_batch([rows[self.number - 1] for rows in self.known])
        if self.stops and not first:
            raise RecordingComplete
        self.computed += 1
        output = self.inner(*args, **kwargs)
        if first and not self.known:  # the denoiser may write its next output into the same memory
            by_branch = output[0].unflatten(0, (-1, len(self.keys)))
            self.outputs.append(by_branch.detach().cpu())
        return output

    def list_recorded(self) -> list[tuple[Any, Tensors]]:
        """Return each key with its image's recorded predictions; none of an incomplete call."""
        if len(self.outputs) < self.calls:
            return []
        rows = torch.stack(self.outputs).unbind(2)
        return [(key, {"predictions": row}) for key, row in zip(self.keys, rows, strict=True)]


class Predictions:
    """Stores the outputs of each image's first denoiser calls, by everything they depend on.

    Outputs rather than latents: a solver with history or noise continues exactly only if it takes
    the first steps again, with stored outputs.
    """

    def __init__(self, model: TextToImage, folder: Path, calls: int) -> None:
        self.store, self.calls = TensorStore(folder), calls
        self.facts = [identify_denoising(model), calls]
        self.replayed = self.computed = 0
        self.draw: Callable[[Any, Call], Any] = model.draw

    def generate(self, model: TextToImage, call: Call) -> Any:
        """Draw the images of a call, in place of the model's `draw`."""
        with replace_denoiser(model, PredictionProxy(model.denoiser, self.calls)) as proxy:
            images = self.draw(model, call)
            self._keep(proxy)
        self.replayed += proxy.replayed
        self.computed += proxy.computed
        return images

    def begin(self, model: TextToImage, call: Call, arguments: Arguments) -> Arguments:
        """Pass what is known of a call's images to the proxy: a hook of the model."""
        with region("latent cache look-up"):
            self._keep(model.denoiser)
            rows = range(len(call.prompts))
            keys = [self._make_key(model, arguments, row) for row in rows]
            found = [self.store.read(key) for key in keys]
            known = [tensors["predictions"] for tensors in found if tensors is not None]
            model.denoiser.begin(keys, known if len(known) == len(keys) else [])
        return arguments

    def _keep(self, proxy: PredictionProxy) -> None:
        """Store the outputs of a pipeline call that was computed."""
        for key, tensors in proxy.list_recorded():
            self.store.write(key, tensors)

    def _make_key(self, model: TextToImage, arguments: Arguments, row: int) -> str:
        shared = {name: value for name, value in arguments.items() if name not in PER_IMAGE}
        given = [name for name in ("latents", "image") if name in arguments]
        tensors = {name: digest_tensor(arguments[name][row]) for name in given}
        kind = type(model.denoiser.inner).__name__
        named = [name for name in ("prompt", "negative_prompt") if name in arguments]
        texts = [arguments[name][row] for name in named]
        return digest_facts([self.facts, kind, shared, tensors, texts])


class Embeddings:
    """Passes stored embeddings in place of prompts; counts prompts found and encoded."""

    def __init__(self, model: TextToImage, folder: Path) -> None:
        self.store, self.encoder = TensorStore(folder), identify_encoders(model)
        self.in_memory: OrderedDict[str, Tensors] = OrderedDict()
        self.hits = self.misses = 0

    def __call__(self, model: TextToImage, call: Call, arguments: Arguments) -> Arguments:
        """Replace the prompts of a call: a hook of the model."""
        with region("prompt cache look-up"):
            rows = [
                self.find(model, prompt, call.guidance > 1, negative)
                for prompt, negative in pair_prompts(call)
            ]
        return model.embedded(arguments, join_rows(rows, model.device))

    def find(
        self, model: TextToImage, prompt: str, guided: bool, negative: str | None = None
    ) -> Tensors:
        """Return the embeddings of one prompt, of shape (1, …); encode an unknown one."""
        key = digest_facts([self.encoder, guided, prompt, negative if guided else None])
        found = self.in_memory.get(key) or self.store.read(key)
        if found is None:
            self.misses += 1
            found = encode_row(model, prompt, guided, negative)
            self.store.write(key, found)
        else:
            self.hits += 1
        self.in_memory[key] = found
        self.in_memory.move_to_end(key)
        while len(self.in_memory) > IN_MEMORY:
            self.in_memory.popitem(last=False)
        return found


def pair_prompts(call: Call) -> list[tuple[str, str | None]]:
    """Return each prompt of a call with its negative prompt, or None."""
    negatives: tuple[str, ...] | list[None] = call.negatives or [None] * len(call.prompts)
    return list(zip(call.prompts, negatives, strict=True))


def encode_row(
    model: TextToImage, prompt: str, guided: bool, negative: str | None = None
) -> Tensors:
    """Return the embeddings of one prompt, of shape (1, …), by the pipeline's argument names."""
    negatives = () if negative is None else (negative,)
    tensors = model.encode((prompt,), guided, negatives)
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def join_rows(rows: list[Tensors], device: str) -> Tensors:
    """Return the embeddings of a batch on the device; stored rows are on the CPU."""
    return {name: torch.cat([row[name].to(device) for row in rows]) for name in rows[0]}
