"""Named tensors in files that are whole or not there, found again by a digest. Imports torch."""

import hashlib
import json
import os
import uuid
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from harness.axes.caching._lru import evict_lru

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
        self.budget = 0
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
        self.budget -= len(whole)
        if self.budget < 0:
            self.budget = self.limit // 16
            evict_lru(self.folder, self.limit - self.budget)


def _digest(tensors: Tensors) -> bytes:
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(json.dumps([name, list(tensor.shape), str(tensor.dtype)]).encode())
        found.update(memoryview(tensor.reshape(-1).view(torch.uint8).numpy()))
    return found.digest()
