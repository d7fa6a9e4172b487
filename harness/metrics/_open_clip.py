"""CLIP dual encoders through open_clip: the bundled small one, and ViT-B-32 with OpenAI's weights."""

from functools import cache
from pathlib import Path
from typing import Any

from harness.core.errors import MachineError
from harness.metrics._base import Network, Pixels
from harness.metrics._devices import device, exact, to_unit
from harness.metrics._weights import WeightFile

WEIGHTS = WeightFile(
    key="clip",
    file="ViT-B-32.pt",
    sha256="40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
    origin="openaipublic.azureedge.net/clip/models",
)
BUNDLED = "small open_clip dual encoder of the bundled shapes world"
BUNDLED_RESIZE = "to 64×64, bilinear with antialias, if not 64×64"
OPENAI = "open_clip ViT-B-32 (QuickGELU), OpenAI's weights"
OPENAI_RESIZE = "to 224 on the short side, bicubic with antialias on uint8 (Pillow), centre crop"
ARCHITECTURE = "ViT-B-32-quickgelu"
_BATCH = 256


class ClipNetwork(Network):
    """Pictures and texts to unit embeddings of one space."""

    def __init__(self, net: Any, see: Any, read: Any) -> None:
        self.net, self._see, self._read = net, see, read

    def look(self, pictures: Pixels) -> Any:
        with exact():
            return self._see(self.net, pictures)

    def read(self, texts: list[str]) -> Any:
        """Return unit embeddings (m, d) of texts."""
        import torch

        with exact():
            parts = [self._read(self.net, texts[i : i + _BATCH]) for i in range(0, len(texts), _BATCH)]
            return torch.cat(parts)


def bundled_path() -> Path:
    """Return the bundled weights; MachineError if the package was installed without them."""
    path = Path(__file__).parent / "bundled" / "clip.safetensors"
    if not path.exists():
        raise MachineError("bundled weights are missing", str(path), "Rebuild them: python -m harness.training")
    return path


@cache
def bundled_network() -> ClipNetwork:
    """Return the one shared instance of the bundled dual encoder."""
    from harness.metrics.bundled import clip

    def see(net: Any, pictures: Pixels) -> Any:
        return clip.encode_image(net, to_unit(pictures))

    return ClipNetwork(clip.load(device(), bundled_path()), see, clip.encode_text)


@cache
def openai_network(path: Path) -> ClipNetwork:
    """Return ViT-B-32 with weights from `path`: OpenAI's archive or an open_clip checkpoint."""
    import open_clip
    import torch
    from PIL import Image

    net, _, transform = open_clip.create_model_and_transforms(ARCHITECTURE, pretrained=str(path), device=device())
    tokenize = open_clip.get_tokenizer(ARCHITECTURE)

    def see(net: Any, pictures: Pixels) -> Any:
        images = torch.stack([transform(Image.fromarray(picture)) for picture in pictures])
        return net.encode_image(images.to(device()), normalize=True)

    def read(net: Any, texts: list[str]) -> Any:
        return net.encode_text(tokenize(texts).to(device()), normalize=True)

    return ClipNetwork(net.eval().requires_grad_(False), see, read)
