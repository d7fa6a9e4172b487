"""CLIP dual encoders of open_clip: OpenAI's ViT-B/32, and ViT-L/14 at 336 pixels."""

import html
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from harness.checkpoints.clip_tokens import SPECIAL, UncountedError, clip_counter, shipped_merges
from harness.core.errors import MachineError
from harness.metrics._base import Network, Pixels, device, exact, in_batches
from harness.metrics._weights import Form, WeightFile

VALUE_RANGE = "uint8 RGB to [0, 1], standardised with OpenAI's means and deviations"
_OPENAI = "https://openaipublic.azureedge.net/clip/models"
LENGTH = 77
"""Tokens that the text encoders read of a prompt."""
_TEXTS, _IMAGES = 256, 16  # at once
_ARCHIVE_ONLY = frozenset({"input_resolution", "context_length", "vocab_size"})


class Tower(NamedTuple):
    """One of OpenAI's models: its name in open_clip, weights, image side, length of embeddings."""

    architecture: str
    weights: WeightFile
    side: int
    dimensions: int

    @property
    def extractor(self) -> str:
        return f"open_clip {self.architecture}, OpenAI's weights"

    @property
    def resize(self) -> str:
        return (
            f"to {self.side} on the short side, bicubic with antialias on uint8 (Pillow), centre "
            "crop"
        )


def _openai(key: str, file: str, sha256: str, hub: str) -> WeightFile:
    url, also = f"{_OPENAI}/{sha256}/{file}", (Form(file="open_clip_model.safetensors", hub=hub),)
    return WeightFile(key=key, file=file, sha256=sha256, url=url, also=also)


B32 = Tower(
    "ViT-B-32-quickgelu",
    _openai(
        key="clip",
        file="ViT-B-32.pt",
        sha256="40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
        hub="timm/vit_base_patch32_clip_224.openai",
    ),
    side=224,
    dimensions=512,
)
L14_336 = Tower(
    "ViT-L-14-336-quickgelu",
    _openai(
        key="clip-l14-336",
        file="ViT-L-14-336px.pt",
        sha256="3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
        hub="timm/vit_large_patch14_clip_336.openai",
    ),
    side=336,
    dimensions=768,
)


def find_longer_texts(texts: Sequence[str]) -> list[str]:
    """Return the texts that the text encoders truncate.

    Raises UncountedError without open_clip's files.
    """
    # A token is at least one letter, so most texts fit without counting.
    long = [text for text in texts if not text.isascii() or len(text) + SPECIAL > LENGTH]
    if not long:
        return []
    count = clip_counter(shipped_merges())
    return [text for text in long if count(_clean(text)) > LENGTH]


def _clean(text: str) -> str:
    """Return what open_clip's tokenizer makes of a text before it splits it."""
    try:
        import ftfy
    except ImportError as error:
        raise UncountedError("ftfy, which open_clip reads texts with, is not installed") from error
    return html.unescape(html.unescape(ftfy.fix_text(text))).strip()


class ClipNetwork(Network):
    """Images and texts to unit embeddings of one space."""

    def __init__(self, net: Any, see: Any, read: Any) -> None:
        self.net, self._see, self._read = net, see, read

    def extract(self, pixels: Pixels) -> Any:
        with exact():
            return self._see(self.net, pixels)

    def read(self, texts: list[str]) -> Any:
        """Return unit embeddings (m, d) of texts."""
        import torch

        with exact():
            return torch.cat(
                [self._read(self.net, texts[i : i + _TEXTS]) for i in range(0, len(texts), _TEXTS)]
            )


@cache
def load_openai_network(path: Path, tower: Tower) -> ClipNetwork:
    """Return one of OpenAI's models with weights from `path`: its archive or any state dictionary.

    Raises MachineError for a file of another architecture.
    """
    import open_clip
    import torch
    from PIL import Image

    net = open_clip.CLIP(**open_clip.get_model_config(tower.architecture))
    try:
        net.load_state_dict(read_clip_state(path))
    except RuntimeError as error:
        raise MachineError(
            f"this is no checkpoint of {tower.extractor}", str(path), tower.weights.source
        ) from error
    transform = open_clip.image_transform(
        tower.side, is_train=False
    )  # mean and deviation are OpenAI's
    tokenize = open_clip.get_tokenizer(tower.architecture)

    def see(net: Any, pixels: Pixels) -> Any:
        def part(some: Pixels) -> Any:
            images = torch.stack([transform(Image.fromarray(image)) for image in some])
            return net.encode_image(images.to(device()), normalize=True)

        return in_batches(part, pixels, _IMAGES)

    def read(net: Any, texts: list[str]) -> Any:
        return net.encode_text(tokenize(texts).to(device()), normalize=True)

    return ClipNetwork(net.to(device()).eval().requires_grad_(False), see, read)


def read_clip_state(path: Path) -> dict[str, Any]:
    """Return the tensors of a CLIP checkpoint by name.

    No code in it is executed but what TorchScript allows. OpenAI published TorchScript archives;
    others share plain tensors.
    """
    import torch
    from safetensors.torch import load_file

    try:
        state = load_file(path) if path.suffix == ".safetensors" else _load_archive(path)
    except RuntimeError:
        state = torch.load(path, "cpu", weights_only=True)
    return {key: value for key, value in state.items() if key not in _ARCHIVE_ONLY}


def _load_archive(path: Path) -> dict[str, Any]:
    """Return the tensors of a TorchScript archive, without torch's warning about its format."""
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.load` is deprecated", FutureWarning)
        found: dict[str, Any] = torch.jit.load(path, "cpu").state_dict()
    return found
