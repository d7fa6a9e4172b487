"""Named tensors on disk, found again by a digest of all they depend on. Imports torch."""

import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from harness.core.errors import HarnessError
from harness.core.model import TextToImage

Tensors = dict[str, torch.Tensor]

DIGEST = "sha256"
"""Name of the tensor that holds the digest of the others."""

LIMIT_BYTES = 8 * 1024**3
"""What a store may hold: embeddings of 2,000 prompts of FLUX, or two predictions of 16,000 SDXL images."""


class TensorStore:
    """One safetensors file per key in a folder; what cannot be read, or was damaged, counts as not there.

    The folder holds `limit_bytes` at most: entries that were not read for longest go first. Looking through it takes
    time, so that is done once in a sixteenth of the limit written; each process more that writes may exceed it by this.
    """

    def __init__(self, folder: Path, limit_bytes: int | None = None) -> None:
        self.folder = folder
        self.limit = LIMIT_BYTES if limit_bytes is None else limit_bytes
        self.room = 0
        """Bytes that may be written before the folder is looked through again."""

    def path(self, key: str) -> Path:
        """Return where the tensors of a key are kept."""
        return self.folder / key[:2] / f"{key}.safetensors"

    def read(self, key: str) -> Tensors | None:
        """Return the tensors of a key, or None if they are not there or not as they were written."""
        try:
            tensors = load(self.path(key).read_bytes())  # read at once: another process may replace the file meanwhile
        except (OSError, SafetensorError):
            return None
        with suppress(OSError):  # gone meanwhile, or not ours to touch
            os.utime(self.path(key))
        digest = tensors.pop(DIGEST, None)
        return tensors if digest is not None and bytes(digest.tolist()) == _digest(tensors) else None

    def write(self, key: str, tensors: Tensors) -> None:
        """Keep the tensors of a key: another process sees all of the file or none of it."""
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        whole = save({**plain, DIGEST: torch.tensor(list(_digest(plain)), dtype=torch.uint8)})
        new = path.with_name(f"{path.name}.{os.getpid()}-{uuid.uuid4().hex}.new")
        try:
            new.write_bytes(whole)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
        self.room -= len(whole)
        if self.room < 0:
            self.room = self.limit // 16
            remove_oldest(self.folder, self.limit - self.room)


def _digest(tensors: Tensors) -> bytes:
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(json.dumps([name, list(tensor.shape), str(tensor.dtype)]).encode())
        found.update(memoryview(tensor.reshape(-1).view(torch.uint8).numpy()))
    return found.digest()


ABANDONED_S = 3600
"""A half-written file of this age belongs to a process that died."""


class Entry(NamedTuple):
    """A file as it was seen; entries sort by when they were last used, and by name where that is the same."""

    used_ns: int
    path: Path
    size: int


def remove_oldest(folder: Path, limit_bytes: int) -> None:
    """Remove the least recently used files (by modification time) until `limit_bytes` are left at most.

    Processes may do so at the same time, without a lock: each sees the same order, so they remove the same files; one
    that was removed meanwhile counts as removed. Files being written (`.new`) stay, unless their process died.
    """
    entries = sorted(_entries(folder))
    total = sum(entry.size for entry in entries)
    for entry in entries:
        if total <= limit_bytes:
            return
        with suppress(OSError):  # another system may refuse while somebody reads it: it goes next time
            entry.path.unlink(missing_ok=True)
        total -= entry.size


def _entries(folder: Path) -> Iterator[Entry]:
    now = time.time()
    for path in folder.rglob("*.*"):
        try:
            seen = path.stat()
        except OSError:  # removed meanwhile
            continue
        if path.suffix != ".new":
            yield Entry(seen.st_mtime_ns, path, seen.st_size)
        elif now - seen.st_mtime > ABANDONED_S:
            yield Entry(0, path, seen.st_size)


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
