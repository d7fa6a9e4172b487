"""The bundled networks of the shapes world: an attribute classifier and a small CLIP.

The attribute net serves attributes:bundled, fid:bundled, kid:bundled and lpips:bundled with one
forward pass; the CLIP serves clip:bundled and cmmd:bundled.
"""

from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from harness.core.errors import MachineError
from harness.metrics import _open_clip
from harness.metrics._base import Description, Metric, Network, Pixels, device, exact, to_unit
from harness.metrics._open_clip import ClipNetwork, Tower
from harness.metrics._weights import WeightFile

ATTRIBUTES = "attribute CNN of the bundled shapes world"
CLIP = "small open_clip dual encoder of the bundled shapes world"
FEATURES = 128
"""Features of either network."""
RESIZE = "to 64×64, bilinear with antialias, if not 64×64"
VALUE_RANGE = "uint8 RGB to [-1, 1] as 2·x/255 − 1"


class Activations(NamedTuple):
    """Features (n, 128), labels (n, 8), and maps of several depths (n, channels, side, side).

    The feature vectors of the maps have unit length.
    """

    features: Any
    labels: Any
    maps: list[Any]


class AttributeNetwork(Network):
    """The attribute net in float32."""

    def __init__(self, net: Any) -> None:
        self.net = net

    def extract(self, pixels: Pixels) -> Activations:
        from torch.nn import functional

        from harness.metrics.bundled.attributes import MAP_LAYERS

        with exact():
            layers = self.net.layers(to_unit(pixels))  # one pass for features, labels and maps
            features = functional.relu(self.net.summary(layers[-1].flatten(1)))
            labels = self.net.labels(features)
            maps = [_unit(layers[i]) for i in MAP_LAYERS]
        return Activations(features, labels, maps)


def _unit(maps: Any) -> Any:
    """Return maps scaled to unit feature vectors at every position; zero vectors stay zero."""
    return maps * (maps.square().sum(dim=1, keepdim=True) + 1e-10).rsqrt()


def find_bundled_weights(name: Literal["attributes", "clip"]) -> Path:
    """Return bundled weights; MachineError if the package was installed without them."""
    path = Path(__file__).parent / "bundled" / f"{name}.safetensors"
    if not path.exists():
        fix = "Reinstall the package; in a checkout, run python -m tools.training."
        raise MachineError("bundled weights are missing", str(path), fix)
    return path


@cache
def load_attribute_network() -> AttributeNetwork:
    """Return the shared instance of the attribute net."""
    from harness.metrics.bundled.attributes import load

    return AttributeNetwork(load(device(), find_bundled_weights("attributes")))


@cache
def load_clip_network() -> ClipNetwork:
    """Return the shared instance of the small CLIP."""
    from harness.metrics.bundled import clip

    def see(net: Any, pixels: Pixels) -> Any:
        return clip.encode_image(net, to_unit(pixels))

    return ClipNetwork(clip.load(device(), find_bundled_weights("clip")), see, clip.encode_text)


class ClipMetric(Metric):
    """A metric of a CLIP encoder: the `bundled` one, or one of OpenAI's towers."""

    tower: ClassVar[Tower]

    @property
    def bundled(self) -> bool:
        return self.profile == "bundled"

    def needs(self) -> tuple[WeightFile, ...]:
        return () if self.bundled else (self.tower.weights,)

    def ships(self) -> tuple[Path, ...]:
        return (find_bundled_weights("clip"),) if self.bundled else ()

    def describe_as(
        self, formula: str, better: Literal["higher", "lower"], resize: str
    ) -> Description:
        """Return the description; `resize` is how the tower's images are resized."""
        return Description(
            CLIP if self.bundled else self.tower.extractor,
            VALUE_RANGE if self.bundled else _open_clip.VALUE_RANGE,
            ("torch", "open_clip_torch"),
            resize=RESIZE if self.bundled else resize,
            formula=formula,
            better=better,
        )
