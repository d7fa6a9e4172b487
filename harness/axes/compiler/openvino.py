"""OpenVINO: the denoiser exported to an ONNX graph and compiled for this CPU."""

from typing import Any, ClassVar, Literal

from harness.axes.compiler._exported import Exported
from harness.core.axis import Setup, Unavailable, require_packages
from harness.core.effect import Effect
from harness.core.machine import Machine
from harness.core.model import TextToImage


class OpenVino(Exported):
    """The precision is set explicitly: by default the CPU plugin computes in BF16 silently."""

    summary: ClassVar[str] = "the denoiser as an ONNX graph, compiled by OpenVINO for the CPU"
    needs: ClassVar = "pip install diffusion-harness[onnx,openvino]; no GPU"
    conflicts: ClassVar = Exported.conflicts | {"fp16"}
    tolerance: ClassVar = 1e-4

    hint: Literal["latency", "throughput"] = "latency"

    def unavailable(self, machine: Machine) -> Unavailable | None:
        if machine.gpus:
            reason = "OpenVINO runs on CPUs; on this machine, cells run on the GPU"
            return Unavailable(reason=reason, hint="use tensorrt")
        return require_packages(machine, "onnx", "onnxscript", "openvino")

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        import torch

        from harness.axes.compiler._onnx import FILE, export_onnx
        from harness.axes.compiler._replacement import Engine, exchange, record, run_eager

        recording = record(model, setup.call)
        reference = run_eager(model, recording)
        inputs = recording.inputs
        single = {name: _to_single(tensor) for name, tensor in inputs.tensors.items()}
        # NumPy has no bfloat16: the graph is FP32 with the cell's weights; OpenVINO's hint sets
        # the arithmetic.
        recorded = recording._replace(inputs=inputs._replace(tensors=single))
        graph = export_onnx(model.denoiser.float(), recorded, setup.cache)
        precision = "bf16" if reference.dtype == torch.bfloat16 else "f32"
        compiled = self._compile(str(graph.folder / FILE), precision)
        names = {name for port in compiled.inputs for name in port.names}

        def run(tensors: dict[str, Any]) -> Any:
            used = {name: tensor for name, tensor in tensors.items() if name in names}
            arrays = {name: _to_single(tensor).numpy() for name, tensor in used.items()}
            return torch.from_numpy(compiled(arrays)[0].copy()).to(reference.dtype)

        nodes = graph.facts["nodes"]
        engine = Engine(
            run=run,
            weights_bytes=graph.facts["bytes"],
            name=f"OpenVINO ({precision}, {nodes} nodes)",
            origin=f"graph {graph.origin}",
            figures={**graph.figures, "onnx_nodes": nodes, "inference_precision": precision},
        )
        # OpenVINO in BF16 differs from FP32 by up to 0.09, torch by 0.005; the image metrics judge
        # the cost.
        limit = 0.2 if precision == "bf16" else 1e-5
        return exchange(model, recording, engine, reference, limit)

    def _compile(self, path: str, precision: str) -> Any:
        import openvino
        import torch

        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": self.hint.upper(),
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            # pinned, processes with fewer threads than cores would share the first core
            "ENABLE_CPU_PINNING": False,
        }
        return openvino.Core().compile_model(path, "CPU", settings)


def _to_single(tensor: Any) -> Any:
    """Return a tensor on the CPU, half-precision numbers as FP32."""
    return tensor.detach().cpu().float() if tensor.is_floating_point() else tensor.detach().cpu()
