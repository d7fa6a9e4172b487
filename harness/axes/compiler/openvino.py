"""OpenVINO: the denoiser exported to an ONNX graph and compiled for this CPU."""

from typing import Any, ClassVar, Literal

from harness.axes.compiler._exchange import Engine, eager_output, exchange
from harness.axes.compiler._exported import Exported
from harness.axes.compiler._onnx import FILE, export_onnx
from harness.axes.compiler._recording import record
from harness.core.axis import Setup, Unavailable
from harness.core.effect import Effect
from harness.core.machine import Machine
from harness.core.model import TextToImage


class OpenVino(Exported):
    """In the cell's precision, said explicitly: left to itself the CPU plugin computes in BF16 and tells nobody."""

    summary: ClassVar[str] = "the denoiser as an ONNX graph, compiled by OpenVINO for the CPU"
    needs: ClassVar = "pip install diffusion-harness[onnx,openvino]; no GPU"
    conflicts: ClassVar = Exported.conflicts | {"fp16"}
    tolerance: ClassVar = 1e-4

    hint: Literal["latency", "throughput"] = "latency"

    def unavailable(self, machine: Machine) -> Unavailable | None:
        if machine.gpus:
            return Unavailable(reason="OpenVINO computes on CPUs, cells run on the GPU here", hint="use tensorrt")
        return self._missing(machine, "onnx", "onnxscript", "openvino")

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        import torch

        recording = record(model, setup.call)
        reference = eager_output(model, recording)
        inputs = recording.inputs
        whole = {name: _single(tensor) for name, tensor in inputs.tensors.items()}
        # NumPy has no bfloat16: the graph is FP32 with the cell's weights, the arithmetic is OpenVINO's to choose.
        recorded = recording._replace(inputs=inputs._replace(tensors=whole))
        graph = export_onnx(model.denoiser.float(), recorded, setup.cache)
        precision = "bf16" if reference.dtype == torch.bfloat16 else "f32"
        compiled = self._compile(str(graph.folder / FILE), precision)
        names = {name for port in compiled.inputs for name in port.names}

        def run(tensors: dict[str, Any]) -> Any:
            arrays = {name: _single(tensor).numpy() for name, tensor in tensors.items() if name in names}
            return torch.from_numpy(compiled(arrays)[0].copy()).to(reference.dtype)

        engine = Engine(
            run=run,
            engine_bytes=graph.facts["bytes"],
            name=f"OpenVINO ({precision}, {graph.facts['nodes']} nodes)",
            origin=f"graph {graph.origin}",
            figures={**graph.figures, "onnx_nodes": graph.facts["nodes"], "inference_precision": precision},
        )
        # OpenVINO in bf16 was seen 0.09 away from FP32, torch 0.005: what that costs is for the pictures to say.
        return exchange(model, recording, engine, reference, limit=0.2 if precision == "bf16" else 1e-5)

    def _compile(self, path: str, precision: str) -> Any:
        import openvino
        import torch

        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": self.hint.upper(),
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        return openvino.Core().compile_model(path, "CPU", settings)


def _single(tensor: Any) -> Any:
    """A tensor on the CPU, its half-precision numbers as FP32."""
    return tensor.detach().cpu().float() if tensor.is_floating_point() else tensor.detach().cpu()
