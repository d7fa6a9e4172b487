"""Prompt embeddings kept on disk and, the last few, in memory. Imports torch."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

from harness.axes.caching._identity import digest_facts, digest_tokenizer, digest_weights, library_versions
from harness.axes.caching._store import Tensors, TensorStore
from harness.core.model import Arguments, Call, TextToImage

AT_HAND = 64
"""Prompts whose embeddings stay in memory: T5's of one prompt are 4 MiB in FP16."""


class Embeddings:
    """Gives pipelines embeddings in the place of prompts; counts prompts found (`hits`) and encoded (`misses`)."""

    def __init__(self, model: TextToImage, folder: Path) -> None:
        self.store, self.encoder = TensorStore(folder), identify_encoders(model)
        self.at_hand: OrderedDict[str, Tensors] = OrderedDict()
        self.hits = self.misses = 0

    def __call__(self, model: TextToImage, call: Call, arguments: Arguments) -> Arguments:
        """Replace the prompts of a call: what a hook of the model does."""
        guided = call.guidance > 1
        rows = [self.row(model, prompt, guided) for prompt in call.prompts]
        joined = {name: torch.cat([row[name] for row in rows]).to(model.device) for name in rows[0]}
        return model.embedded(arguments, joined)

    def row(self, model: TextToImage, prompt: str, guided: bool) -> Tensors:
        """Return the embeddings of one prompt, of shape (1, …), encoding it if nobody has before."""
        key = digest_facts([self.encoder, guided, prompt])
        found = self.at_hand.get(key) or self.store.read(key)
        if found is None:
            self.misses += 1
            found = {name: tensor for name, tensor in model.encode((prompt,), guided).items() if tensor is not None}
            self.store.write(key, found)
        else:
            self.hits += 1
        self.at_hand[key] = found
        while len(self.at_hand) > AT_HAND:
            self.at_hand.popitem(last=False)
        return found


def identify_encoders(model: TextToImage) -> str:
    """Return a digest of all that embeddings depend on but the prompt: encoders, tokenizers, family, libraries."""
    encoders = {role: digest_weights(encoder) for role, encoder in model.text_encoders.items()}
    parts: dict[str, Any] = model.pipeline.components
    tokenizers = {name: digest_tokenizer(part) for name, part in parts.items() if _is_tokenizer(name, part)}
    dtypes = {role: str(encoder.dtype) for role, encoder in model.text_encoders.items()}
    settings = {name: value for name, value in model.pipeline.config.items() if isinstance(value, bool)}
    kind = [type(model.pipeline).__name__, model.device.partition(":")[0], settings, library_versions()]
    return digest_facts([encoders, tokenizers, dtypes, kind])


def _is_tokenizer(name: str, part: Any) -> bool:
    return name.startswith("tokenizer") and part is not None
