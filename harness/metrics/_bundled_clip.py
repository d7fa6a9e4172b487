"""The bundled dual encoder of the shapes world, for clip:bundled and cmmd:bundled."""

from functools import cache
from pathlib import Path
from typing import Any

from harness.core.errors import MachineError
from harness.metrics._base import Pixels
from harness.metrics._devices import device, to_unit
from harness.metrics._open_clip import ClipNetwork

EXTRACTOR = "small open_clip dual encoder of the bundled shapes world"
DIMENSIONS = 128
RESIZE = "to 64×64, bilinear with antialias, if not 64×64"
VALUE_RANGE = "uint8 RGB to [-1, 1] as 2·x/255 − 1"


def weights_path() -> Path:
    """Return the bundled weights; MachineError if the package was installed without them."""
    path = Path(__file__).parent / "bundled" / "clip.safetensors"
    if not path.exists():
        fix = "Reinstall the package; in a checkout, run python -m tools.training."
        raise MachineError("bundled weights are missing", str(path), fix)
    return path


@cache
def bundled_network() -> ClipNetwork:
    """Return the one shared instance of the bundled dual encoder."""
    from harness.metrics.bundled import clip

    def see(net: Any, pictures: Pixels) -> Any:
        return clip.encode_image(net, to_unit(pictures))

    return ClipNetwork(clip.load(device(), weights_path()), see, clip.encode_text)
