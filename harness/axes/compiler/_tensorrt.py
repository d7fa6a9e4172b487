"""What TensorRT and TensorRT-RTX share: an engine built from the ONNX graph, with a profile of the matrix's shapes."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.axes.compiler._engine import Order, build_engine
from harness.axes.compiler._exchange import Engine, distance, eager_output, exchange
from harness.axes.compiler._exported import Exported
from harness.axes.compiler._exporting import takes_all_sizes
from harness.axes.compiler._fp8 import pack_fp8
from harness.axes.compiler._onnx import FILE, export_onnx
from harness.axes.compiler._profile import Profile
from harness.axes.compiler._recording import record
from harness.axes.compiler._span import span
from harness.core.axis import Setup, Shape, Unavailable
from harness.core.effect import Effect
from harness.core.machine import Machine
from harness.core.model import TextToImage

FP8_CAPABILITY = (8, 9)
"""Ada; Hopper and Blackwell are newer."""


class TensorRt(Exported):
    """Strongly typed: the engine computes in the types of the graph, which are those of the cell's precision.

    A dynamic engine is tuned for the largest of the calls it serves, and holds memory for it in the smaller ones too.
    With `fp8`, Linear and Conv2d layers multiply in E4M3 and all else stays in the cell's precision.
    """

    package: ClassVar[str]
    tolerance: ClassVar = 0.3  # of fp8; other engines are held to less by the parity that `apply` measures
    repeatability: ClassVar = 1e-3

    workspace_gib: Annotated[float, Field(gt=0, le=512)] = 8.0
    """Memory that one layer's algorithm may use while it runs."""
    dynamic: bool = True
    """One engine for all cells that differ in size, batch, guidance or steps only; false: one for the cell's shapes."""
    max_batch: Annotated[int, Field(ge=0, le=1024)] = 0
    """Images of the largest call; more are computed in parts. 0: the largest batch of the engine's cells."""
    fp8: bool = False
    """Multiply in 8-bit floats, with ranges of the inputs seen on the first prompts of the set: an engine a cell."""
    calibration: Annotated[int, Field(ge=1)] = 8
    """How many prompts those ranges are seen on."""

    def unavailable(self, machine: Machine) -> Unavailable | None:
        missing = self._missing(machine, "onnx", "onnxscript", self.package)
        if missing is not None:
            return missing
        if not machine.gpus:
            return Unavailable(reason="running an engine needs an NVIDIA GPU", hint="openvino or onnxruntime on a CPU")
        return self._unfit(machine) or self._without_fp8(machine)

    def _unfit(self, machine: Machine) -> Unavailable | None:
        """Why this library has no engines for the card."""
        return None

    def _without_fp8(self, machine: Machine) -> Unavailable | None:
        older = [card for card in machine.gpus if card.capability < FP8_CAPABILITY]
        if not self.fp8 or not older:
            return None
        needed, has = (".".join(map(str, pair)) for pair in (FP8_CAPABILITY, older[0].capability))
        reason = f"fp8 engines need compute capability {needed}, {older[0].name} has {has}"
        return Unavailable(reason=reason, hint="leave fp8 out")

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        import torch

        from harness.axes.compiler._engine_session import EngineSession

        recording = record(model, setup.call)
        reference = eager_output(model, recording)
        packed: dict[str, float | int | str] = {}
        if self.fp8:
            packed |= pack_fp8(model, setup, self.calibration)
            plain, reference = reference, eager_output(model, recording)  # what the engine shall compute
            packed["fp8_error"] = float(f"{distance(reference, plain):.3g}")
        served = span(model, setup.call, self._shapes(model, setup))
        graph = export_onnx(model.denoiser, served.recording, setup.cache)
        profile = Profile.of(served, self.dynamic, self.max_batch)
        memory, tf32 = int(self.workspace_gib * 2**30), torch.backends.cuda.matmul.fp32_precision == "tf32"
        order = Order(self.package, graph.folder / FILE, profile, memory, _card(model.device), tf32)
        engine = build_engine(order, setup.cache)
        session = EngineSession(engine, self.package, served.recording, profile)
        source = {"onnx_export_s": round(graph.build_s, 3), "onnx_nodes": graph.facts["nodes"]}
        built = {"engine_bytes": engine.facts["bytes"], **profile.figures, **engine.facts["precisions"], **packed}
        made = Engine(
            run=session.run,
            engine_bytes=engine.facts["bytes"],
            name=f"{self.package.replace('_', '-')} ({engine.facts['layers']} layers{', fp8' if packed else ''})",
            origin=f"engine {engine.origin}",
            figures={**engine.figures, **source, **built},
        )
        return exchange(model, recording, made, reference, self._limit(reference))

    def _shapes(self, model: TextToImage, setup: Setup) -> set[Shape]:
        """Return the calls that the engine shall take: those of all cells whose graph is the same."""
        call = setup.call
        own = Shape(call.width, call.height, call.guidance, setup.batch)
        if not self.dynamic or self.fp8:  # the ranges of fp8 are those that this cell's own pictures showed
            return {own}
        one_size = not takes_all_sizes(model.denoiser)
        return {own, *(shape for shape in setup.shapes if not one_size or shape[:2] == own[:2])}

    def _limit(self, reference: Any) -> float:
        """The largest parity error; 8-bit rounding makes steps of small differences."""
        if self.fp8:
            return 5e-2
        return 2e-2 if reference.element_size() < 4 else 5e-3


def _card(device: str) -> str:
    import torch

    properties = torch.cuda.get_device_properties(device)
    return f"{properties.name} {properties.major}.{properties.minor}"
