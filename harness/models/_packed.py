"""Compare the tensors of quantized components with their configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.models._verify import Misfit, NetworkFiles

_CONFIG = "quantization_config"
_IN_PLACE = frozenset({"bitsandbytes", "quanto", "torchao"})
"""Methods that store further tensors of a packed weight under the name of its layer."""


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
