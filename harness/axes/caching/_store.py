"""Tensors on disk, found by a digest of everything they depend on. Imports torch."""

import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from harness.core.errors import HarnessError
from harness.core.model import TextToImage
from harness.weights_digest import digest_facts, digest_tensor, digest_weights

Tensors = dict[str, torch.Tensor]

DIGEST = "sha256"
"""Name of the tensor that contains the digest of the others."""
LIMIT_BYTES = 8 * 1024**3
"""Embeddings of 2,000 prompts of FLUX, or two predictions of 16,000 SDXL images."""
ABANDONED_S = 3600
"""A half-written file of this age is left over from a process that died."""
LIBRARIES = ("torch", "diffusers", "transformers")


class TensorStore:
    """One safetensors file per key in a folder; unreadable or damaged files count as missing.

    Above `limit_bytes`, the least recently used files are removed. The folder is scanned once per
    sixteenth of the limit written, by which each concurrent process may exceed it.
    """

    def __init__(self, folder: Path, limit_bytes: int | None = None) -> None:
        self.folder = folder
        self.limit = LIMIT_BYTES if limit_bytes is None else limit_bytes
        self.budget = 0
        """Bytes that may be written before the next scan."""

    def path(self, key: str) -> Path:
        """Return the file of a key."""
        return self.folder / key[:2] / f"{key}.safetensors"

    def read(self, key: str) -> Tensors | None:
        """Return the tensors of a key, or None if they are missing or damaged."""
        try:
            tensors = load(self.path(key).read_bytes())  # another process may replace the file
        except (OSError, SafetensorError):
            return None
        with suppress(OSError):  # removed meanwhile, or not writable
            os.utime(self.path(key))
        digest = tensors.pop(DIGEST, None)
        if digest is None or bytes(digest.tolist()) != _digest_all(tensors):
            return None
        return tensors

    def write(self, key: str, tensors: Tensors) -> None:
        """Store the tensors of a key atomically."""
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        digest = torch.tensor(list(_digest_all(plain)), dtype=torch.uint8)
        content = save({**plain, DIGEST: digest})
        new = path.with_name(f"{path.name}.{os.getpid()}-{uuid.uuid4().hex}.new")
        try:
            new.write_bytes(content)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
        self.budget -= len(content)
        if self.budget < 0:
            self.budget = self.limit // 16
            remove_least_recently_used(self.folder, self.limit - self.budget)


def _digest_all(tensors: Tensors) -> bytes:
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(json.dumps([name, list(tensor.shape), str(tensor.dtype)]).encode())
        found.update(memoryview(tensor.reshape(-1).view(torch.uint8).numpy()))
    return found.digest()


class StoredFile(NamedTuple):
    """A file in the store; files sort by last use, then by name."""

    used_ns: int
    path: Path
    size: int


def remove_least_recently_used(folder: Path, limit_bytes: int) -> None:
    """Remove least recently used files (by modification time) until `limit_bytes` remain.

    Concurrent processes need no lock: each sees the same order and removes the same files. Files
    that are being written (`.new`) stay, unless their process died.
    """
    files = sorted(_list_files(folder))
    total = sum(file.size for file in files)
    for file in files:
        if total <= limit_bytes:
            return
        with suppress(OSError):  # some systems refuse while a process reads it: removed next time
            file.path.unlink(missing_ok=True)
        total -= file.size


def _list_files(folder: Path) -> Iterator[StoredFile]:
    now = time.time()
    for path in folder.rglob("*.*"):
        try:
            state = path.stat()
        except OSError:  # removed meanwhile
            continue
        if path.suffix != ".new":
            yield StoredFile(state.st_mtime_ns, path, state.st_size)
        elif now - state.st_mtime > ABANDONED_S:
            yield StoredFile(0, path, state.st_size)


def identify_encoders(model: TextToImage) -> str:
    """Return a digest of what embeddings depend on besides the prompt.

    These are encoders, tokenizers, number formats, pipeline settings and library versions.
    """
    encoders = model.text_encoders
    weights = {role: digest_weights(encoder) for role, encoder in encoders.items()}
    parts: dict[str, Any] = model.pipeline.components
    named = {name: part for name, part in parts.items() if name.startswith("tokenizer")}
    tokenizers = {name: digest_tokenizer(part) for name, part in named.items() if part is not None}
    dtypes = {role: str(encoder.dtype) for role, encoder in encoders.items()}
    config = model.pipeline.config.items()
    settings = {name: value for name, value in config if isinstance(value, bool)}
    versions = [version(name) for name in LIBRARIES]
    kind = [type(model.pipeline).__name__, model.device.partition(":")[0], settings, versions]
    return digest_facts([weights, tokenizers, dtypes, kind])


def identify_denoising(model: TextToImage) -> str:
    """Return a digest of what latents depend on besides the call.

    These are encoders, denoiser, scheduler and a fixed noise.
    """
    scheduler = model.pipeline.scheduler
    fixed = None if model.latent is None else digest_tensor(torch.as_tensor(model.latent))
    kind = [type(scheduler).__name__, dict(scheduler.config), str(model.denoiser.dtype), fixed]
    return digest_facts([identify_encoders(model), digest_weights(model.denoiser), kind])


def digest_tokenizer(tokenizer: Any) -> str:
    """Return the sha256 of a tokenizer's definition, without the padding of its last call."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        what = f"{type(tokenizer).__name__} has no definition to identify it by"
        raise HarnessError(what, "caching")
    definition = json.loads(backend.to_str())
    stable = {k: part for k, part in definition.items() if k not in ("padding", "truncation")}
    return digest_facts([stable, tokenizer.model_max_length, tokenizer.padding_side])
