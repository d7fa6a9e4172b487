"""Proof of a quantization: layers and bytes counted before, and looked at again after."""

from collections import Counter

from harness.axes.precision._layers import QuantizedLayers, is_packed
from harness.core.effect import Effect, FixedEffect
from harness.core.errors import NoEffect
from harness.core.model import TextToImage
from harness.core.units import format_bytes, format_percent

Figures = dict[str, float | int | str]


class ConvertedLayers:
    """Remembers what the layers were; `effect` counts those whose weights are held in another form since."""

    def __init__(self, model: TextToImage, parts: list[QuantizedLayers]) -> None:
        self.parts, self.bytes_before = parts, model.weights_bytes()
        layers = {(part.name, name): part.module.get_submodule(name) for part in parts for name in part.layers}
        self.kinds = {key: type(layer).__name__ for key, layer in layers.items()}
        self.sizes = {key: layer.weight.numel() for key, layer in layers.items()}
        self.total = sum(part.weights() for part in parts)

    def effect(self, model: TextToImage, weights: str, more: Figures) -> Effect:
        """Return what was done, in `weights` (a few words); NoEffect if no layer took it or nothing shrank."""
        done = [
            (part.name, name)
            for part in self.parts
            for name in part.layers
            if is_packed(part.module.get_submodule(name).weight)
        ]
        if not done:
            fix = "Their sizes do not fit this format: see the value's options, or choose another precision."
            raise NoEffect(f"none of {len(self.sizes)} layers took {weights} weights", "precision", fix)
        after = model.weights_bytes()
        changed = [name for name in after if after[name] != self.bytes_before.get(name)]
        before_bytes, after_bytes = (sum(counted[name] for name in changed) for counted in (self.bytes_before, after))
        if after_bytes >= before_bytes:
            raise NoEffect(f"{weights} weights take no less memory than before", "precision")
        kinds = Counter(self.kinds[key] for key in done)
        coverage = sum(self.sizes[key] for key in done) / self.total
        figures: Figures = {
            "layers_quantized": len(done),
            "layers_left": len(self.sizes) - len(done),
            **{f"{kind.lower()}_quantized": count for kind, count in sorted(kinds.items())},
            "coverage": round(coverage, 4),
            "bytes_before": before_bytes,
            "bytes_after": after_bytes,
        }
        if len(changed) > 1:
            for name in changed:
                figures |= {f"{name}_bytes_before": self.bytes_before[name], f"{name}_bytes_after": after[name]}
        listing = " and ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        sizes = f"{format_bytes(before_bytes)} → {format_bytes(after_bytes)}"
        where = ", ".join(part.name for part in self.parts)
        summary = (
            f"{weights} weights in {listing} layers of {where}: {format_percent(coverage, 0)} of their weights, {sizes}"
        )
        return FixedEffect(summary, {**figures, **more})
