"""Prompt embeddings kept on disk and, the last few, in memory. Imports torch."""

from collections import OrderedDict
from pathlib import Path

import torch

from harness.axes.caching._identity import digest_facts, identify_encoders
from harness.axes.caching._store import Tensors, TensorStore
from harness.core.model import Arguments, Call, TextToImage
from harness.core.trace import region

AT_HAND = 64
"""Prompts used last whose embeddings stay in memory: T5's of one prompt are 4 MiB in FP16."""


class Embeddings:
    """Gives pipelines embeddings in the place of prompts; counts prompts found (`hits`) and encoded (`misses`)."""

    def __init__(self, model: TextToImage, folder: Path) -> None:
        self.store, self.encoder = TensorStore(folder), identify_encoders(model)
        self.at_hand: OrderedDict[str, Tensors] = OrderedDict()
        self.hits = self.misses = 0

    def __call__(self, model: TextToImage, call: Call, arguments: Arguments) -> Arguments:
        """Replace the prompts of a call: what a hook of the model does."""
        guided = call.guidance > 1
        pairs = zip(call.prompts, call.negatives or [None] * len(call.prompts), strict=True)
        with region("prompt cache look-up"):
            rows = [self.row(model, prompt, guided, negative) for prompt, negative in pairs]
        return model.embedded(arguments, join_rows(rows, model.device))

    def row(self, model: TextToImage, prompt: str, guided: bool, negative: str | None = None) -> Tensors:
        """Return the embeddings of one prompt, of shape (1, …), encoding it if nobody has before."""
        key = digest_facts([self.encoder, guided, prompt, negative if guided else None])
        found = self.at_hand.get(key) or self.store.read(key)
        if found is None:
            self.misses += 1
            found = encode_row(model, prompt, guided, negative)
            self.store.write(key, found)
        else:
            self.hits += 1
        self.at_hand[key] = found
        self.at_hand.move_to_end(key)
        while len(self.at_hand) > AT_HAND:
            self.at_hand.popitem(last=False)
        return found


def encode_row(model: TextToImage, prompt: str, guided: bool, negative: str | None = None) -> Tensors:
    """Return the embeddings of one prompt, of shape (1, …), under the names of the pipeline's arguments."""
    negatives = () if negative is None else (negative,)
    return {name: tensor for name, tensor in model.encode((prompt,), guided, negatives).items() if tensor is not None}


def join_rows(rows: list[Tensors], device: str) -> Tensors:
    """Return the embeddings of a batch; stored rows come from the CPU, those just encoded from the device."""
    return {name: torch.cat([row[name].to(device) for row in rows]) for name in rows[0]}
