"""optimum-quanto: weights of Linear and Conv2d layers, and calibrated activations."""

import shutil
from types import SimpleNamespace
from typing import Any, ClassVar

from pydantic import Field

from harness.axes.precision._layers import QuantizedLayers
from harness.axes.precision._quantized import Quantized
from harness.axes.precision._tally import Figures
from harness.core.axis import Context, Setup, Unavailable
from harness.core.machine import Machine
from harness.core.model import Call, TextToImage
from harness.core.outcome import Caution


class Quanto(Quantized):
    """Weights only."""

    needs: ClassVar = "pip install optimum-quanto"
    package: ClassVar = "optimum-quanto"
    kinds: ClassVar = ("Linear", "Conv2d")
    castable: ClassVar = False
    compiles: ClassVar[bool] = True
    """Whether quanto builds CUDA kernels of its own for this format, at the first call on a GPU."""

    def unavailable(self, machine: Machine) -> Unavailable | None:
        if machine.gpus and self.compiles and shutil.which("nvcc") is None:
            reason = f"quanto compiles its {self.weights} kernels on a GPU, and nvcc is not found"
            return Unavailable(reason=reason, hint="install the CUDA toolkit, or use a torchao value")
        return super().unavailable(machine)

    def qtype(self) -> str:
        """Return quanto's name of the weights' format."""
        raise NotImplementedError

    def quantize(self, parts: list[QuantizedLayers], model: TextToImage, setup: Setup) -> Figures:
        from optimum import quanto

        _unpack_in_torch()
        for part in parts:
            quanto.quantize(part.module, weights=self.qtype(), include=list(part.layers))
            _freeze(part)
        return {}


class QuantoActivations(Quanto):
    """Weights, and on request activations, whose range is learned from prompts of the set: never guessed."""

    activations: bool = False
    """Multiply in 8 bits too, with ranges seen on the first prompts of the set."""
    calibration: int = Field(default=8, ge=1)
    """How many prompts the ranges of activations are seen on."""

    def refuse(self, context: Context) -> str | None:
        for axis, value in context.values.items():
            if self.activations and "compiled" in value.tags and getattr(value, "fullgraph", False):
                return (
                    f"calibrated activations cannot be compiled as one graph, which the {axis} wants: "
                    "set fullgraph=false there, or leave activations out"
                )
        return super().refuse(context)

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        if not self.activations:
            return super().cautions(context)
        message = f"{self.weights} activations run through quanto's own layers, which are slower than plain ones"
        if any("compiled" in value.tags for value in context.values.values()):
            message = "quanto's quantized activations break the compiled graph at every layer"
        return (Caution(kind="no-speed-up", message=message, advice="For speed, try int8-torchao+dynamic."),)

    def quantize(self, parts: list[QuantizedLayers], model: TextToImage, setup: Setup) -> Figures:
        if not self.activations:
            return super().quantize(parts, model, setup)
        from optimum import quanto

        calls = _calls(setup, self.calibration)
        called = _called_layers(parts, model, calls[0].model_copy(update={"steps": 1}))
        for part, seen in zip(parts, called, strict=True):
            unseen = [name for name in part.layers if name not in seen]
            if seen:
                quanto.quantize(part.module, weights=self.qtype(), activations=self.qtype(), include=list(seen))
            if unseen:  # such as a VAE's encoder: without calibration activations would be clipped at random
                quanto.quantize(part.module, weights=self.qtype(), include=unseen)
        with quanto.Calibration():
            for call in calls:
                model.generate(call)
        for part in parts:
            _freeze(part)
        count = sum(len(call.prompts) for call in calls)
        return {"activations_quantized": sum(map(len, called)), "calibration_prompts": count}


def _calls(setup: Setup, prompts: int) -> list[Call]:
    """Return calls of the cell's batch size for its first prompts: larger ones may not fit into memory."""
    count = min(prompts, len(setup.call.prompts))
    return [setup.call.of(range(start, min(start + setup.batch, count))) for start in range(0, count, setup.batch)]


def _called_layers(parts: list[QuantizedLayers], model: TextToImage, call: Call) -> list[tuple[str, ...]]:
    """Return the layers of each part that work while a picture is made."""
    seen: set[Any] = set()
    layers = {part.module.get_submodule(name) for part in parts for name in part.layers}
    hooks = [layer.register_forward_pre_hook(lambda layer, _: seen.add(layer)) for layer in layers]
    model.generate(call)
    for hook in hooks:
        hook.remove()
    return [tuple(name for name in part.layers if part.module.get_submodule(name) in seen) for part in parts]


def _freeze(part: QuantizedLayers) -> None:
    for name in part.layers:
        part.module.get_submodule(name).freeze()


def _unpack_in_torch() -> None:
    """Let quanto unpack 2- and 4-bit weights with torch operations on a CPU.

    Its own way compiles C++ inside the installed package at the first call, for minutes, and a cell that is stopped
    meanwhile leaves a lock in that folder.
    """
    from optimum.quanto.library.extensions import get_extension

    get_extension("quanto_cpp")._lib = SimpleNamespace(unpack=_unpacked)


def _unpacked(packed: Any, bits: int) -> Any:
    """Return the numbers of uint8 tensors that hold 8 / bits of them, as quanto packs them: part after part."""
    import torch

    return torch.cat([(packed >> shift) & (2**bits - 1) for shift in range(0, 8, bits)])
