"""optimum-quanto: weights of Linear and Conv2d layers, and calibrated activations."""

import shutil
from types import SimpleNamespace
from typing import Any, ClassVar

from pydantic import Field

from harness.axes.precision._layers import QuantizedLayers
from harness.axes.precision._quantized import Quantized
from harness.core.axis import Context, Setup, Unavailable
from harness.core.machine import Machine
from harness.core.model import Call, TextToImage
from harness.core.outcome import Caution, Figures
from harness.core.recipe import RecipeContext, RecipeLines, read_source


class Quanto(Quantized):
    """Weights only."""

    needs: ClassVar = "pip install optimum-quanto"
    package: ClassVar = "optimum-quanto"
    kinds: ClassVar = ("Linear", "Conv2d")
    castable: ClassVar = False
    compiles: ClassVar[bool] = True
    """Whether quanto compiles CUDA kernels for this format, at the first call on a GPU."""

    def unavailable(self, machine: Machine) -> Unavailable | None:
        if machine.gpus and self.compiles and shutil.which("nvcc") is None:
            reason = f"quanto compiles its {self.weights} kernels on a GPU, and nvcc is not found"
            hint = "install the CUDA toolkit, or use a torchao value"
            return Unavailable(reason=reason, hint=hint)
        return super().unavailable(machine)

    def qtype(self) -> str:
        """Return quanto's name of the weights' format."""
        raise NotImplementedError

    def quantize(
        self, networks: list[QuantizedLayers], model: TextToImage, setup: Setup
    ) -> Figures:
        from optimum import quanto

        _unpack_in_torch()
        for network in networks:
            names = list(network.layers)
            quanto.quantize(network.module, weights=self.qtype(), include=names)
            _freeze(network)
        return {}

    def recipe_quantize(self) -> RecipeLines:
        return RecipeLines(
            imports=("from optimum import quanto", "from types import SimpleNamespace"),
            definitions=read_source(__name__, "_unpack_in_torch", "_unpack"),
            before=("_unpack_in_torch()",),
            build=(
                f'quanto.quantize(network, weights="{self.qtype()}", include=names)',
                "for name in names:",
                "    network.get_submodule(name).freeze()",
            ),
        )


class QuantoActivations(Quanto):
    """Weights, and optionally activations with ranges calibrated on prompts of the set."""

    activations: bool = False
    """Multiply in 8 bits too, calibrated on the first prompts of the set."""
    calibration: int = Field(default=8, ge=1)
    """Number of calibration prompts for activations."""

    def refuse(self, context: Context) -> str | None:
        for axis, value in context.values.items():
            whole = "compiled" in value.tags and getattr(value, "fullgraph", False)
            if self.activations and whole:
                return (
                    f"calibrated activations cannot be compiled as one graph, as the {axis} "
                    "requires: set fullgraph=false there, or leave activations out"
                )
        return super().refuse(context)

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        if not self.activations:
            return super().cautions(context)
        message = f"quanto's layers for {self.weights} activations are slower than plain ones"
        if context.has_tag("compiled"):
            message = "quanto's quantized activations break the compiled graph at every layer"
        advice = "For speed, try int8-torchao+dynamic."
        return (Caution(kind="no-speed-up", message=message, advice=advice),)

    def quantize(
        self, networks: list[QuantizedLayers], model: TextToImage, setup: Setup
    ) -> Figures:
        if not self.activations:
            return super().quantize(networks, model, setup)
        from optimum import quanto

        calls = setup.calibration_calls(self.calibration)
        called = _find_called(networks, model, calls[0].model_copy(update={"steps": 1}))
        qtype = self.qtype()
        for network, names in zip(networks, called, strict=True):
            idle = [name for name in network.layers if name not in names]
            if names:
                quanto.quantize(network.module, weights=qtype, activations=qtype, include=names)
            if idle:  # such as a VAE's encoder: its activations cannot be calibrated
                quanto.quantize(network.module, weights=qtype, include=idle)
        with quanto.Calibration():
            for call in calls:
                model.generate(call)
        for network in networks:
            _freeze(network)
        prompts = sum(len(call.prompts) for call in calls)
        return {"activations_quantized": sum(map(len, called)), "calibration_prompts": prompts}

    def recipe(self, context: RecipeContext) -> RecipeLines:
        lines = super().recipe(context)
        if not self.activations:
            return lines
        first = tuple(context.prompts[: self.calibration])
        return lines.model_copy(
            update={
                "definitions": (*lines.definitions, f"CALIBRATION = {first!r}"),
                "build": (*lines.build, *self._recipe_calibration(int(context.call["batch"]))),
            }
        )

    def recipe_quantize(self) -> RecipeLines:
        if not self.activations:
            return super().recipe_quantize()
        plain, qtype = super().recipe_quantize(), self.qtype()
        both = f'weights="{qtype}", activations="{qtype}"'
        return plain.model_copy(
            update={
                "before": (*plain.before, "quantized, called = [], find_called(pipe)"),
                "definitions": (*plain.definitions, "\n".join(FIND_CALLED)),
                "build": (
                    "used = [n for n in names if network.get_submodule(n) in called]",
                    "idle = [name for name in names if name not in used]",
                    "if used:",
                    f"    quanto.quantize(network, {both}, include=used)",
                    "if idle:  # their activations cannot be calibrated",
                    f'    quanto.quantize(network, weights="{qtype}", include=idle)',
                    "quantized += [(network, name) for name in names]",
                ),
            }
        )

    def _recipe_calibration(self, batch: int) -> tuple[str, ...]:
        return (
            "with quanto.Calibration():",
            f"    for first in range(0, len(CALIBRATION), {batch}):",
            f"        prompts = CALIBRATION[first : first + {batch}]",
            "        seeds = [run_seed(name, seed) for name, seed, _ in prompts]",
            "        generate(pipe, [text for _, _, text in prompts], seeds)",
            "for network, name in quantized:",
            "    network.get_submodule(name).freeze()",
        )


FIND_CALLED = (
    "def find_called(pipe):",
    '    """Return the modules that run while an image is generated."""',
    "    called, hooks = set(), []",
    "    networks = [p for p in pipe.components.values() if isinstance(p, torch.nn.Module)]",
    "    for layer in (layer for network in networks for layer in network.modules()):",
    "        hook = layer.register_forward_pre_hook(lambda layer, _: called.add(layer))",
    "        hooks.append(hook)",
    "    name, seed, text = CALIBRATION[0]",
    "    arguments = make_arguments([text], [run_seed(name, seed)])",
    '    draw(pipe, {**arguments, "num_inference_steps": 1})',
    "    for hook in hooks:",
    "        hook.remove()",
    "    return called",
)
"""What `_find_called` does, in a file without harness."""


def _find_called(
    networks: list[QuantizedLayers], model: TextToImage, call: Call
) -> list[list[str]]:
    """Return the layers of each network that run while an image is generated."""
    called: set[Any] = set()
    layers = [{name: n.module.get_submodule(name) for name in n.layers} for n in networks]
    hooks = [
        layer.register_forward_pre_hook(lambda layer, _: called.add(layer))
        for named in layers
        for layer in named.values()
    ]
    model.generate(call)
    for hook in hooks:
        hook.remove()
    return [[name for name, layer in named.items() if layer in called] for named in layers]


def _freeze(network: QuantizedLayers) -> None:
    for name in network.layers:
        network.module.get_submodule(name).freeze()


def _unpack_in_torch() -> None:
    """Let quanto unpack 2- and 4-bit weights with torch operations on a CPU.

    By default the first call compiles C++ inside the installed package, for minutes; a cell that is
    stopped meanwhile leaves a lock in that folder.
    """
    from optimum.quanto.library.extensions import get_extension

    get_extension("quanto_cpp")._lib = SimpleNamespace(unpack=_unpack)


def _unpack(packed: Any, bits: int) -> Any:
    """Return the numbers of uint8 tensors in quanto's order: all lowest bits first."""
    import torch

    return torch.cat([(packed >> shift) & (2**bits - 1) for shift in range(0, 8, bits)])
