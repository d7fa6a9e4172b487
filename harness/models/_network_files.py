"""A network's configuration and tensors, how they differ, and what packed weights explain."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.core.base import Frozen
from harness.core.units import plural

Shapes = Mapping[str, tuple[int, ...]]
_CONFIG = "quantization_config"
_IN_PLACE = frozenset({"bitsandbytes", "quanto", "torchao"})
"""Methods that store further tensors of a packed weight under the name of its layer."""
_SHOWN = 4


class NetworkFiles(Frozen):
    """A network as its pipeline describes it, and the tensors in its files."""

    name: str
    library: str
    kind: str
    config: dict[str, Any]
    tensors: dict[str, tuple[int, ...]]
    sharded: bool = False
    folder: str = ""
    """The folder of configurations, for a file in its authors' layout with several networks."""


class Misfit(Frozen):
    """Tensors that a network's files miss, superfluous tensors, and tensors of another shape."""

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    shapes: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()
    """Name, shape in the file, shape in the configuration."""
    refused: str = ""
    """Why the network cannot be built at all."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.shapes or self.refused)

    def __str__(self) -> str:
        parts = [self.refused] if self.refused else []
        if self.missing:
            parts.append(f"it lacks {_count(self.missing)}")
        if self.unexpected:
            parts.append(f"it has tensors that the network does not, {_count(self.unexpected)}")
        if self.shapes:
            name, found, expected = self.shapes[0]
            sizes = f"{name} is {_size(found)}, by the configuration {_size(expected)}"
            parts.append(f"{plural(len(self.shapes), 'tensor')} of another shape: {sizes}")
        return "; ".join(parts)


def is_comparable(network: NetworkFiles) -> bool:
    """Return whether the names of a network's tensors name its layers."""
    return _CONFIG not in network.config or _method(network) in _IN_PLACE


def note_packed(network: NetworkFiles) -> str:
    """Return what a plan says of a quantized network; an empty string for any other."""
    if _CONFIG not in network.config:
        return ""
    if is_comparable(network):
        return f"{network.name} is quantized: its packed weights are compared by name only"
    method = _method(network) or "an unnamed method"
    what = "its tensors are not compared with its configuration"
    return f"{network.name} is quantized ({method}): {what}"


def without_quantization(network: NetworkFiles) -> NetworkFiles:
    """Return a network as it is before its weights are packed."""
    config = {key: value for key, value in network.config.items() if key != _CONFIG}
    return network.model_copy(update={"config": config})


def excuse_packed(misfit: Misfit, network: NetworkFiles) -> Misfit:
    """Return a misfit without what packing explains: packed weights and their scales."""
    if _CONFIG not in network.config:
        return misfit
    packed = {_layer(name) for name in misfit.unexpected}
    return misfit.model_copy(
        update={
            "missing": tuple(
                name for name in misfit.missing if not (_is_weight(name) and _layer(name) in packed)
            ),
            "unexpected": (),
            "shapes": tuple(found for found in misfit.shapes if _layer(found[0]) not in packed),
        }
    )


def _method(network: NetworkFiles) -> str:
    settings = network.config[_CONFIG]
    old = "bitsandbytes" if settings.get("load_in_4bit") or settings.get("load_in_8bit") else ""
    return str(settings.get("quant_method") or old)


def _is_weight(name: str) -> bool:
    return name.endswith(".weight")


def _layer(name: str) -> str:
    """Return the layer of a tensor: `a.b` for `a.b.bias` and `a.b.weight._data` alike."""
    return name.partition(".weight.")[0] if ".weight." in name else name.rpartition(".")[0]


def _count(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    return f"{plural(len(names), 'tensor')}: {shown}"


def _size(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
