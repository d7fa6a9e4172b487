"""Digests of what an answer depends on, so that a stored one is used for nothing else. Imports torch."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from itertools import chain
from typing import Any

import torch

from harness.core.errors import HarnessError
from harness.core.model import TextToImage


def identify_encoders(model: TextToImage) -> str:
    """Return a digest of all that embeddings depend on but the prompt: encoders, tokenizers, family, libraries."""
    encoders = {role: digest_weights(encoder) for role, encoder in model.text_encoders.items()}
    parts: dict[str, Any] = model.pipeline.components
    tokenizers = {
        name: digest_tokenizer(part)
        for name, part in parts.items()
        if name.startswith("tokenizer") and part is not None
    }
    dtypes = {role: str(encoder.dtype) for role, encoder in model.text_encoders.items()}
    settings = {name: value for name, value in model.pipeline.config.items() if isinstance(value, bool)}
    kind = [type(model.pipeline).__name__, model.device.partition(":")[0], settings, library_versions()]
    return digest_facts([encoders, tokenizers, dtypes, kind])


def identify_denoising(model: TextToImage) -> str:
    """Return a digest of all that latents depend on but the call: encoders, denoiser, scheduler, a fixed noise."""
    scheduler = model.pipeline.scheduler
    fixed = None if model.latent is None else digest_tensor(torch.as_tensor(model.latent))
    kind = [type(scheduler).__name__, dict(scheduler.config), str(model.denoiser.dtype), fixed]
    return digest_facts([identify_encoders(model), digest_weights(model.denoiser), kind])


def digest_tensor(tensor: torch.Tensor) -> str:
    """Return the sha256 of a tensor's bytes, shape and number format."""
    plain = tensor.detach().cpu().contiguous()
    found = hashlib.sha256(f"{tuple(plain.shape)} {plain.dtype}".encode())
    found.update(memoryview(plain.reshape(-1).view(torch.uint8).numpy()))
    return found.hexdigest()


def digest_weights(module: torch.nn.Module) -> str:
    """Return the sha256 of a module's class, and of the names and bytes of its weights as they are now.

    So a quantized module, or one with an adapter, is another one.
    """
    named = chain(module.named_parameters(), module.named_buffers())
    names, tensors = zip(*((name, part) for name, tensor in named for part in _plain(tensor)), strict=True)
    with ThreadPoolExecutor(4) as threads:  # hashing large tensors does not hold Python's lock
        digests = list(threads.map(digest_tensor, tensors))
    return digest_facts([type(module).__qualname__, names, digests])


def digest_tokenizer(tokenizer: Any) -> str:
    """Return the sha256 of a tokenizer's definition, without how its last call padded and cut, which it keeps too."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise HarnessError(f"{type(tokenizer).__name__} has no definition to identify it by", "caching")
    definition = json.loads(backend.to_str())
    kept = {name: part for name, part in definition.items() if name not in ("padding", "truncation")}
    return digest_facts([kept, tokenizer.model_max_length, tokenizer.padding_side])


def digest_facts(facts: Any) -> str:
    """Return the sha256 of what JSON can say, or `repr` where it cannot."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=repr).encode()).hexdigest()


def library_versions(names: Iterable[str] = ("torch", "diffusers", "transformers")) -> list[str]:
    """Return the versions of the libraries that compute the answer."""
    return [version(name) for name in names]


def _plain(tensor: Any) -> Iterator[torch.Tensor]:
    """The ordinary tensors that a quantized one is made of, or the tensor itself."""
    if hasattr(tensor, "__tensor_flatten__"):
        for name in tensor.__tensor_flatten__()[0]:
            yield from _plain(getattr(tensor, name))
    else:
        yield tensor
