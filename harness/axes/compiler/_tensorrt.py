"""What TensorRT and TensorRT-RTX share: an engine built from the ONNX graph, with a profile of the cell's shapes."""

from typing import Annotated, ClassVar

from pydantic import Field

from harness.axes.compiler._engine import Order, build_engine
from harness.axes.compiler._exchange import Engine, eager_output, exchange
from harness.axes.compiler._exported import Exported
from harness.axes.compiler._onnx import FILE, export_onnx
from harness.axes.compiler._profile import Profile
from harness.axes.compiler._recording import record
from harness.core.axis import Setup, Unavailable
from harness.core.effect import Effect
from harness.core.machine import Machine
from harness.core.model import TextToImage


class TensorRt(Exported):
    """Strongly typed: the engine computes in the types of the graph, which are those of the cell's precision."""

    package: ClassVar[str]
    tolerance: ClassVar = 0.05  # fp16 sums in another order
    repeatability: ClassVar = 1e-3

    workspace_gib: Annotated[float, Field(gt=0, le=512)] = 8.0
    """Memory that one layer's algorithm may use while it runs."""
    dynamic: bool = True
    """One engine for all sizes up to the cell's and all batches up to `max_batch`; false: the cell's shapes only."""
    max_batch: Annotated[int, Field(ge=0, le=1024)] = 0
    """Images of the largest call; more are computed in parts. 0: the cell's batch."""

    def unavailable(self, machine: Machine) -> Unavailable | None:
        missing = self._missing(machine, "onnx", "onnxscript", self.package)
        if missing is not None:
            return missing
        if not machine.gpus:
            return Unavailable(reason="running an engine needs an NVIDIA GPU", hint="openvino or onnxruntime on a CPU")
        return self._unfit(machine)

    def _unfit(self, machine: Machine) -> Unavailable | None:
        """Why this library has no engines for the card."""
        return None

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        import torch

        from harness.axes.compiler._engine_session import EngineSession

        recording = record(model, setup.call)
        reference = eager_output(model, recording)
        graph = export_onnx(model.denoiser, recording, setup.cache)
        profile = Profile.of(recording, setup.batch, self.max_batch or setup.batch, self.dynamic)
        memory, tf32 = int(self.workspace_gib * 2**30), torch.backends.cuda.matmul.fp32_precision == "tf32"
        order = Order(self.package, graph.folder / FILE, profile, memory, _card(model.device), tf32)
        engine = build_engine(order, setup.cache)
        session = EngineSession(engine, self.package, recording, profile)
        seconds = {"onnx_export_s": round(graph.build_s, 3), "onnx_nodes": graph.facts["nodes"]}
        made = Engine(
            run=session.run,
            held_bytes=engine.facts["bytes"],
            name=f"{self.package.replace('_', '-')} ({engine.facts['layers']} layers)",
            origin=f"engine {engine.origin}",
            figures={**engine.figures, **seconds, "engine_bytes": engine.facts["bytes"], **engine.facts["precisions"]},
        )
        return exchange(model, recording, made, reference, limit=2e-2 if reference.element_size() < 4 else 5e-3)


def _card(device: str) -> str:
    import torch

    properties = torch.cuda.get_device_properties(device)
    return f"{properties.name} {properties.major}.{properties.minor}"
