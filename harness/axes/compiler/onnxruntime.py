"""ONNX Runtime: the denoiser exported to an ONNX graph and run outside torch."""

from typing import ClassVar

from harness.axes.compiler._exported import Exported
from harness.core.axis import Setup, Unavailable, require_packages
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
            reason = "ONNX Runtime has no CUDA provider here"
            return Unavailable(reason=reason, hint="pip install onnxruntime-gpu")
        runtime = "onnxruntime-gpu" if machine.gpus else "onnxruntime"
        return require_packages(machine, "onnx", "onnxscript", runtime)

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        from harness.axes.compiler._onnx import FILE, Session, export_onnx
        from harness.axes.compiler._replacement import Engine, exchange, record, run_eager

        recording = record(model, setup.call)
        reference = run_eager(model, recording)
        graph = export_onnx(model.denoiser, recording, setup.cache)
        session = Session(graph.folder / FILE, model.device)
        if session.lacks_cuda:
            fix = "Install onnxruntime-gpu for this CUDA version."
            what = "ONNX Runtime could not start its CUDA provider"
            raise NoEffect(what, "compiler onnxruntime", fix)
        nodes = graph.facts["nodes"]
        engine = Engine(
            run=session.run,
            weights_bytes=graph.facts["bytes"],
            name=f"ONNX Runtime ({session.provider}, {nodes} nodes)",
            origin=f"graph {graph.origin}",
            figures={**graph.figures, "onnx_nodes": nodes, "provider": session.provider},
        )
        limit = 2e-2 if reference.element_size() < 4 else 1e-5
        return exchange(model, recording, engine, reference, limit)
