"""The bundled attribute net, run once per picture for attributes:bundled, fid:bundled and lpips:bundled."""

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from harness.core.errors import MachineError
from harness.metrics._base import Network, Pixels
from harness.metrics._devices import device, exact, to_unit
from harness.metrics._weights import hash_file

EXTRACTOR = "attribute CNN of the bundled shapes world"
FEATURES = 128
RESIZE = "to 64×64, bilinear with antialias, if not 64×64"
VALUE_RANGE = "uint8 RGB to [-1, 1] as 2·x/255 − 1"


class Activations(NamedTuple):
    """Features (n, 128), labels (n, 8), and the maps of several depths, each (n, channels, side, side), unit length."""

    features: Any
    labels: Any
    maps: list[Any]


class AttributeNetwork(Network):
    """The net in float32 with its weights' sha256."""

    def __init__(self, net: Any) -> None:
        self.net = net

    def extract(self, pictures: Pixels) -> Activations:
        from torch.nn import functional

        from harness.metrics.bundled.attributes import MAP_LAYERS

        with exact():
            layers = self.net.layers(to_unit(pictures))  # one pass serves both metrics
            features = functional.relu(self.net.summary(layers[-1].flatten(1)))
            labels = self.net.labels(features)
            maps = [_unit(layers[i]) for i in MAP_LAYERS]
        return Activations(features, labels, maps)


def _unit(maps: Any) -> Any:
    """Return maps with feature vectors of unit length at every place; where nothing is seen, zero."""
    return maps * (maps.square().sum(dim=1, keepdim=True) + 1e-10).rsqrt()


def weights_path() -> Path:
    """Return the bundled weights; MachineError if the package was installed without them."""
    path = Path(__file__).parent / "bundled" / "attributes.safetensors"
    if not path.exists():
        fix = "Reinstall the package; in a checkout, run python -m tools.training."
        raise MachineError("bundled weights are missing", str(path), fix)
    return path


@cache
def weights_sha256() -> str:
    """Return the sha256 of the bundled weights."""
    return hash_file(weights_path())


@cache
def attribute_network() -> AttributeNetwork:
    """Return the one shared instance."""
    from harness.metrics.bundled.attributes import load

    return AttributeNetwork(load(device(), weights_path()))
