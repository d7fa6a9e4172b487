"""What all quantized precisions share: the choice of layers, the arithmetic around them, the proof of what was done."""

from typing import Any, ClassVar, Literal

from pydantic import field_validator

from harness.axes.precision._checkpoint import denoiser_layers, layer_kinds, packed_parts
from harness.axes.precision._layers import QuantizedLayers, choose, fits, read_parts, read_patterns
from harness.axes.precision._tally import ConvertedLayers, Figures
from harness.core.axis import AxisValue, Context, Setup, Unavailable
from harness.core.effect import Effect
from harness.core.machine import Machine
from harness.core.model import Footprint, TextToImage
from harness.core.outcome import Caution

DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


class Quantized(AxisValue):
    """A precision that packs the weights of chosen layers after the model was loaded."""

    conflicts: ClassVar = frozenset({"no-torch"})
    tags: ClassVar = frozenset({"quantized"})
    package: ClassVar[str] = ""
    weights: ClassVar[str]
    """What the weights are held in, for sentences."""
    bits: ClassVar[int] = 8
    """Of one packed weight, its share of scales left out."""
    kinds: ClassVar[tuple[str, ...]] = ("Linear",)
    """Layers it can quantize, as classes of torch.nn."""
    castable: ClassVar[bool] = True
    """Whether a packed network can be cast to another float format."""

    modules: str = "denoiser"
    """Which parts: a comma list of denoiser, text-encoder, vae; or all."""
    exclude: str = ""
    """Layers that stay as they are: a comma list of names, `*` for any letters; a block's name is all in it."""
    compute: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    """Number format of the arithmetic and of all that is not quantized; auto: the baseline's."""

    @field_validator("modules")
    @classmethod
    def _names_parts(cls, words: str) -> str:
        read_parts(words)
        return words

    def unavailable(self, machine: Machine) -> Unavailable | None:
        if self.package and self.package not in machine.packages:
            return Unavailable(reason=f"{self.package} is not installed", hint=f"pip install {self.package}")
        if self.compute == "fp16" and not machine.native_fp16:
            return Unavailable(reason="no native FP16 on this machine", hint="use compute=bf16 or a GPU")
        return None

    def refuse(self, context: Context) -> str | None:
        """Read the layers from the checkpoint; patterns for other parts than the denoiser are left for `apply`."""
        parts, patterns = read_parts(self.modules), read_patterns(self.exclude)
        packed, kinds = packed_parts(context.model, parts), layer_kinds(context.model, parts)
        if len(packed) == len(parts):
            matching = " and ".join(f"{part} ({method})" for part, method in packed.items())
            return f"nothing to quantize: the {context.model.title} comes with a quantized {matching}"
        if kinds and not kinds & set(self.kinds):
            wanted = " or ".join(self.kinds)
            return f"nothing to quantize: the {context.model.title} has no {wanted} layer in its {' and '.join(parts)}"
        return self._refuse_cast(context, parts) or self._refuse_patterns(context, parts, patterns)

    def _refuse_cast(self, context: Context, parts: tuple[str, ...]) -> str | None:
        fp16 = self.compute == "fp16" or (self.compute == "auto" and context.machine.native_fp16)
        if self.castable or not fp16 or "vae" not in parts or "upcasts-vae" not in context.model.tags:
            return None
        return (
            f"the {context.model.title} casts its VAE from fp16 to fp32 for each call (force_upcast), which "
            f"{self.weights} weights do not bear: set compute=bf16, or leave the vae out of modules"
        )

    def _refuse_patterns(self, context: Context, parts: tuple[str, ...], patterns: tuple[str, ...]) -> str | None:
        layers = denoiser_layers(context.model)
        if not patterns or not layers or parts != ("denoiser",):
            return None
        for pattern in patterns:
            if not any(fits(pattern, layer) for layer in layers):
                title = context.model.title
                return f'exclude={pattern} fits no layer of the {title}\'s denoiser; they are named like "{layers[0]}"'
        if all(any(fits(pattern, layer) for pattern in patterns) for layer in layers):
            return f"exclude={self.exclude} leaves nothing to quantize in the {context.model.title}'s denoiser"
        return None

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        if context.machine.gpus:
            return ()
        message = f"{self.weights} weights save memory on a CPU, but no time"
        return (Caution(kind="no-speed-up", message=message, advice="For speed, try bf16 or a compiler."),)

    def footprint(self, without: Footprint) -> Footprint:
        """Loaded whole, then packed; as if every layer of the named parts were packed, which is the least."""
        width = {"auto": without.auto_bytes, "fp32": 4}.get(self.compute, 2)
        loaded = without.scaled(width / 4)
        parts = read_parts(self.modules)
        packed = {
            role: count * self.bits / 8 / width if _named(role, parts) else count
            for role, count in loaded.weights.items()
        }
        return loaded.model_copy(update={"weights": packed})

    def load_options(self) -> dict[str, Any]:
        import torch

        auto = "fp16" if torch.cuda.is_available() else "fp32"
        return {"dtype": DTYPES[auto if self.compute == "auto" else self.compute]}

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        """Quantize in place, then look: what does not hold its weights in another form now does not count."""
        import torch

        kinds = tuple(getattr(torch.nn, kind) for kind in self.kinds)
        parts = choose(model, read_parts(self.modules), read_patterns(self.exclude), kinds)
        tally = ConvertedLayers(model, parts)
        figures = self.quantize(parts, model, setup)
        return tally.effect(model, self.weights, figures)

    def quantize(self, parts: list[QuantizedLayers], model: TextToImage, setup: Setup) -> Figures:
        """Replace the weights of the parts' layers in place; return further figures."""
        raise NotImplementedError


def _named(role: str, parts: tuple[str, ...]) -> bool:
    """Whether a part's role is among those an option names: `text-encoder` is all of them."""
    return ("text-encoder" if role.startswith("text_encoder") else role) in parts
