"""Bases of precisions: number formats set while loading, and weights quantized afterwards."""

from typing import Any, ClassVar, Literal

from pydantic import field_validator

from harness.axes.precision._layers import (
    ConvertedLayers,
    QuantizedLayers,
    copy_packed_weights,
    list_denoiser_layers,
    list_layer_kinds,
    list_packed_parts,
    matches,
    read_parts,
    read_patterns,
    select_layers,
)
from harness.core.axis import AxisValue, Context, Setup, Unavailable, require_gpu, require_packages
from harness.core.effect import Effect, FixedEffect
from harness.core.errors import NoEffect
from harness.core.machine import Machine
from harness.core.model import Footprint, TextToImage
from harness.core.outcome import Caution, Figures
from harness.core.recipe import RecipeContext, RecipeLines, read_source
from harness.core.units import format_percent

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


class Dtype(AxisValue):
    """Weights and arithmetic in one of torch's number formats."""

    dtype: ClassVar[str]

    def footprint(self, without: Footprint) -> Footprint:
        return without.scaled(BYTES[self.dtype] / 4)

    def load_options(self) -> dict[str, str]:
        return {"dtype": self.dtype}

    def apply(self, model: TextToImage, setup: Setup) -> Effect | None:
        """Check the formats of the denoiser's weights: diffusers keeps some modules in FP32."""
        if model.pipeline is None:
            return None
        for network in (model.denoiser, model.vae, *model.text_encoders.values()):
            copy_packed_weights(network)
        sizes = [(tensor.numel(), str(tensor.dtype)) for tensor in model.denoiser.parameters()]
        matching = sum(count for count, dtype in sizes if dtype == f"torch.{self.dtype}")
        if not matching:
            what = f"no weight of the denoiser is {self.dtype}"
            raise NoEffect(what, f"precision {self.dtype}")
        share = matching / sum(count for count, _ in sizes)
        total = sum(model.weights_bytes().values())
        figures: Figures = {"bytes": total, "denoiser_share": round(share, 4)}
        summary = f"{format_percent(share, 0)} of the denoiser's weights are {self.dtype}"
        return FixedEffect(summary, figures)

    def recipe(self, context: RecipeContext) -> RecipeLines:
        return RecipeLines(dtype=self.dtype)


def write_matmul_precision(precision: Literal["ieee", "tf32"]) -> tuple[str, ...]:
    """Return the lines that set how a GPU multiplies FP32 numbers."""
    return (
        f'torch.backends.cuda.matmul.fp32_precision = "{precision}"',
        f'torch.backends.cudnn.conv.fp32_precision = "{precision}"',
    )


def set_matmul_precision(precision: Literal["ieee", "tf32"]) -> float:
    """Set how a GPU multiplies FP32 numbers; return the relative error of a product.

    Raises NoEffect if that error does not match: TF32 keeps 10 bits of mantissa, 5e-4 per element.
    """
    import torch

    # Torch's newer `fp32_precision` would make its older getters raise, which inductor, diffusers
    # and `torch.backends.cudnn.flags` call; the older setters keep both consistent.
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    generator = torch.Generator().manual_seed(0)
    size: dict[str, Any] = {"size": (256, 256), "generator": generator, "dtype": torch.float64}
    left, right = torch.randn(**size), torch.randn(**size)
    exact = left @ right
    product = (left.float().cuda() @ right.float().cuda()).cpu().double()
    error = float((product - exact).norm() / exact.norm())
    if (error > 1e-5) != (precision == "tf32"):
        what = f"products are not in {precision}: their error is {error:.0e}"
        raise NoEffect(what, "precision")
    return error


def warn_of_eager_fp8(context: Context) -> tuple[Caution, ...]:
    """Return a warning for fp8 without a compiler: torchao measured it on an H100."""
    if not context.machine.gpus or context.has_tag("compiled"):
        return ()
    message = "without a compiler, fp8 is slower than bf16 on a GPU: "
    message += "scaling and casting run as separate kernels"
    advice = "Add compiler = inductor to this cell."
    return (Caution(kind="fp8-eager", message=message, advice=advice),)


class Quantized(AxisValue):
    """Quantizes the weights of selected layers after the model is loaded."""

    conflicts: ClassVar = frozenset({"no-torch"})
    tags: ClassVar = frozenset({"quantized"})
    package: ClassVar[str] = ""
    weights: ClassVar[str]
    """Name of the weights' format, for messages."""
    bits: ClassVar[int] = 8
    """Bits of one packed weight, without its share of scales."""
    kinds: ClassVar[tuple[str, ...]] = ("Linear",)
    """Classes of torch.nn that it can quantize."""
    castable: ClassVar[bool] = True
    """Whether a packed network can be cast to another float format."""

    modules: str = "denoiser"
    """Parts to quantize: a comma list of denoiser, text-encoder, vae; or all."""
    exclude: str = ""
    """Layers to leave: a comma list of names; `*` is any text, a block's name is all its layers."""
    compute: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    """Format of arithmetic and unquantized weights; auto: the baseline's."""

    @field_validator("modules")
    @classmethod
    def _check_parts(cls, words: str) -> str:
        read_parts(words)
        return words

    def unavailable(self, machine: Machine) -> Unavailable | None:
        if self.package and (missing := require_packages(machine, self.package)):
            return missing
        if self.compute == "fp16" and not machine.native_fp16:
            reason = "no native FP16 on this machine"
            return Unavailable(reason=reason, hint="use compute=bf16 or a GPU")
        return None

    def refuse(self, context: Context) -> str | None:
        """Check the checkpoint's layers; `apply` checks patterns for other parts."""
        parts, title = read_parts(self.modules), context.model.title
        packed = list_packed_parts(context.model, parts)
        if len(packed) == len(parts):
            names = " and ".join(f"{part} ({method})" for part, method in packed.items())
            return f"nothing to quantize: the {title} has a quantized {names}"
        kinds = list_layer_kinds(context.model, parts)
        if kinds and not kinds & set(self.kinds):
            wanted, where = " or ".join(self.kinds), " and ".join(parts)
            return f"nothing to quantize: the {title} has no {wanted} layer in its {where}"
        return self._refuse_cast(context, parts) or self._refuse_patterns(context, parts)

    def _refuse_cast(self, context: Context, parts: tuple[str, ...]) -> str | None:
        auto_fp16 = self.compute == "auto" and context.machine.native_fp16
        if self.castable or not (auto_fp16 or self.compute == "fp16"):
            return None
        if "vae" not in parts or "upcasts-vae" not in context.model.tags:
            return None
        return (
            f"the {context.model.title} casts its VAE from fp16 to fp32 for each call "
            f"(force_upcast), which {self.weights} weights do not support: set compute=bf16, or "
            "leave vae out of modules"
        )

    def _refuse_patterns(self, context: Context, parts: tuple[str, ...]) -> str | None:
        layers, patterns = list_denoiser_layers(context.model), read_patterns(self.exclude)
        denoiser = f"the {context.model.title}'s denoiser"
        if not patterns or not layers or parts != ("denoiser",):
            return None
        for pattern in patterns:
            if not any(matches(pattern, layer) for layer in layers):
                example = f'its layer names are like "{layers[0]}"'
                return f"exclude={pattern} matches no layer of {denoiser}; {example}"
        if all(any(matches(pattern, layer) for pattern in patterns) for layer in layers):
            return f"exclude={self.exclude} leaves nothing to quantize in {denoiser}"
        return None

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        if context.machine.gpus:
            return ()
        message = f"on a CPU, {self.weights} weights save memory but no time"
        advice = "For speed, try bf16 or a compiler."
        return (Caution(kind="no-speed-up", message=message, advice=advice),)

    def footprint(self, without: Footprint) -> Footprint:
        """Return the least: every layer of the selected parts is packed after loading."""
        width = {"auto": without.auto_bytes, "fp32": 4}.get(self.compute, 2)
        loaded, parts = without.scaled(width / 4), read_parts(self.modules)
        packed = dict(loaded.weights)
        for role in packed:
            part = "text-encoder" if role.startswith("text_encoder") else role
            if part in parts:
                packed[role] *= self.bits / 8 / width
        return loaded.model_copy(update={"weights": packed})

    def load_options(self) -> dict[str, Any]:
        import torch

        auto = "fp16" if torch.cuda.is_available() else "fp32"
        return {"dtype": DTYPES[auto if self.compute == "auto" else self.compute]}

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        """Quantize in place, then count the layers whose weights are packed."""
        import torch

        kinds = tuple(getattr(torch.nn, kind) for kind in self.kinds)
        parts, patterns = read_parts(self.modules), read_patterns(self.exclude)
        networks = select_layers(model, parts, patterns, kinds)
        layers = ConvertedLayers(model, networks)
        figures = self.quantize(networks, model, setup)
        return layers.report(model, self.weights, figures)

    def quantize(
        self, networks: list[QuantizedLayers], model: TextToImage, setup: Setup
    ) -> Figures:
        """Quantize the networks' layers in place; return further figures."""
        raise NotImplementedError

    def recipe(self, context: RecipeContext) -> RecipeLines:
        auto = "fp16" if context.device == "cuda" else "fp32"
        dtype = DTYPES[auto if self.compute == "auto" else self.compute]
        networks = list_recipe_networks(read_parts(self.modules), context)
        kinds = ", ".join(f"torch.nn.{kind}" for kind in self.kinds)
        constants = (f"KINDS = ({kinds},)", f"EXCLUDE = {read_patterns(self.exclude)!r}")
        functions = read_source(LAYERS, "matches", "_list_float_layers", "is_packed")
        loop = (
            # a model may come without one of its text encoders
            f"for network in filter(None, ({''.join(f'{name}, ' for name in networks).strip()})):",
            "    names = [",
            "        name",
            "        for name in _list_float_layers(network, KINDS)",
            "        if not any(matches(pattern, name) for pattern in EXCLUDE)",
            "    ]",
        )
        lines = self.recipe_quantize()
        return lines.model_copy(
            update={
                "dtype": dtype,
                "imports": ("from fnmatch import fnmatchcase", *lines.imports),
                "packages": (self.package,) if self.package else (),
                "definitions": (*constants, *functions, *lines.definitions),
                "build": (*lines.before, *loop, *(f"    {line}" for line in lines.build)),
                "before": (),
            }
        )

    def recipe_quantize(self) -> RecipeLines:
        """Return what quantizes layers `names` of `network`: `before` the loop, `build` in it."""
        raise NotImplementedError


LAYERS = "harness.axes.precision._layers"


def list_recipe_networks(parts: tuple[str, ...], context: RecipeContext) -> tuple[str, ...]:
    """Return the expressions of some parts in a file without harness."""
    found = {
        "denoiser": (context.denoiser,),
        "text-encoder": tuple(f"pipe.{name}" for name in context.family.encoders),
        "vae": ("pipe.vae",),
    }
    return tuple(name for part in parts for name in found[part])


class Torchao(Quantized):
    """Weights of Linear layers, in torchao's kernels for torch.compile."""

    needs: ClassVar = "pip install torchao"
    package: ClassVar = "torchao"
    capability: ClassVar[tuple[int, int] | None] = None
    """The GPU's least compute capability; None: a CPU is enough."""

    def config(self) -> Any:
        """Return torchao's configuration of this format."""
        raise NotImplementedError

    def unavailable(self, machine: Machine) -> Unavailable | None:
        if self.capability is not None:
            hint = "use a quanto value here"
            if missing := require_gpu(machine, self.capability, hint):
                return missing
        return super().unavailable(machine)

    def quantize(
        self, networks: list[QuantizedLayers], model: TextToImage, setup: Setup
    ) -> Figures:
        from torchao.quantization import quantize_

        for network in networks:
            chosen, config = frozenset(network.layers), self.config()
            # It would tune inductor for this cell alone: other compiled cells would not compare.
            config.set_inductor_config = False

            def is_chosen(_: Any, name: str, chosen: frozenset[str] = chosen) -> bool:
                return name in chosen

            quantize_(network.module, config, filter_fn=is_chosen)
        return {}

    def config_source(self) -> tuple[tuple[str, ...], str]:
        """Return the imports and the source of `config` in a file without harness."""
        raise NotImplementedError

    def recipe_quantize(self) -> RecipeLines:
        imports, config = self.config_source()
        line = f"quantize_(network, {config}, filter_fn=lambda _, name, own=names: name in own)"
        imports = (*imports, "from torchao.quantization import quantize_")
        return RecipeLines(imports=imports, build=(line,))
