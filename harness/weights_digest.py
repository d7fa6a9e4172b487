"""sha256 of a loaded network's weights, for caches keyed by them. Imports torch when called."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

_THREADS = 4


def digest_weights(module: Any) -> str:
    """Return the sha256 of a torch module's class, and the names and bytes of its weights.

    A quantized module, or one with an adapter, has another digest.
    """
    named = chain(module.named_parameters(), module.named_buffers())
    plain = ((name, part) for name, tensor in named for part in _list_plain_tensors(tensor))
    names, tensors = zip(*plain, strict=True)
    with ThreadPoolExecutor(_THREADS) as threads:  # hashing large tensors releases Python's lock
        digests = list(threads.map(digest_tensor, tensors))
    return digest_facts([type(module).__qualname__, names, digests])


def digest_tensor(tensor: Any) -> str:
    """Return the sha256 of a tensor's bytes, shape and number format."""
    import torch

    plain = tensor.detach().cpu().contiguous()
    found = hashlib.sha256(f"{tuple(plain.shape)} {plain.dtype}".encode())
    found.update(memoryview(plain.reshape(-1).view(torch.uint8).numpy()))
    return found.hexdigest()


def digest_facts(facts: Any) -> str:
    """Return the sha256 of facts as JSON, or their `repr` where JSON has no form."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=repr).encode()).hexdigest()


def _list_plain_tensors(tensor: Any) -> Iterator[Any]:
    """Yield the plain tensors of a quantized one, or the tensor itself."""
    if hasattr(tensor, "__tensor_flatten__"):
        for name in tensor.__tensor_flatten__()[0]:
            yield from _list_plain_tensors(getattr(tensor, name))
    else:
        yield tensor
