"""ONNX Runtime: the denoiser exported to an ONNX graph and run outside torch."""

from typing import ClassVar

from harness.axes.compiler._exchange import Engine, eager_output, exchange
from harness.axes.compiler._exported import Exported
from harness.axes.compiler._onnx import FILE, export_onnx
from harness.axes.compiler._recording import record
from harness.core.axis import Setup, Unavailable
from harness.core.effect import Effect
from harness.core.errors import NoEffect
from harness.core.machine import Machine
from harness.core.model import TextToImage


class OnnxRuntime(Exported):
    """The CUDA provider on a GPU, else the CPU's; ONNX Runtime has no BF16 convolutions."""

    summary: ClassVar[str] = "the denoiser as an ONNX graph, run by ONNX Runtime"
    needs: ClassVar = "pip install diffusion-harness[onnx]; on a GPU onnxruntime-gpu"
    conflicts: ClassVar = Exported.conflicts | {"bf16"}
    tolerance: ClassVar = 1e-4

    def unavailable(self, machine: Machine) -> Unavailable | None:
        if machine.gpus and "onnxruntime-gpu" not in machine.packages:
            return Unavailable(
                reason="ONNX Runtime is here without its CUDA provider", hint="pip install onnxruntime-gpu"
            )
        return self._missing(machine, "onnx", "onnxscript", "onnxruntime-gpu" if machine.gpus else "onnxruntime")

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        from harness.axes.compiler._ort import Session

        recording = record(model, setup.call)
        reference = eager_output(model, recording)
        graph = export_onnx(model.denoiser, recording, setup.cache)
        session = Session(graph.folder / FILE, model.device)
        if session.missed:
            fix = "Install onnxruntime-gpu for this CUDA version."
            raise NoEffect("ONNX Runtime could not start its CUDA provider", "compiler onnxruntime", fix)
        engine = Engine(
            run=session.run,
            engine_bytes=graph.facts["bytes"],
            name=f"ONNX Runtime ({session.provider}, {graph.facts['nodes']} nodes)",
            origin=f"graph {graph.origin}",
            figures={**graph.figures, "onnx_nodes": graph.facts["nodes"], "provider": session.provider},
        )
        half = reference.element_size() < 4
        return exchange(model, recording, engine, reference, limit=2e-2 if half else 1e-5)
