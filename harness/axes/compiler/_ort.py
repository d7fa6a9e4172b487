"""A session of ONNX Runtime over torch tensors: NumPy views on a CPU, bound device memory on a GPU."""

from pathlib import Path
from typing import Any


class Session:
    """Runs a graph on the device the tensors are on."""

    def __init__(self, graph: Path, device: str) -> None:
        import onnxruntime
        import torch

        onnxruntime.set_default_logger_severity(3)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()  # as many as eager has
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning starves other processes
        tf32 = {"use_tf32": int(torch.backends.cuda.matmul.fp32_precision == "tf32")}  # the provider's default is yes
        wanted = [("CUDAExecutionProvider", tf32)] if device.startswith("cuda") else []
        self._session = onnxruntime.InferenceSession(str(graph), options, [*wanted, "CPUExecutionProvider"])
        self.provider: str = self._session.get_providers()[0]
        self._on_gpu = self.provider == "CUDAExecutionProvider"
        self.missed = bool(wanted) and not self._on_gpu
        self._inputs = {node.name for node in self._session.get_inputs()}  # what the graph does not use is gone

    def run(self, tensors: dict[str, Any]) -> Any:
        """Return the output for tensors by name, on their device."""
        import torch

        fed = {name: tensor for name, tensor in tensors.items() if name in self._inputs}
        if self._on_gpu:
            return self._run_bound(fed)
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in fed.items()}
        return torch.from_numpy(self._session.run(None, arrays)[0])

    def _run_bound(self, tensors: dict[str, Any]) -> Any:
        """Leave inputs and output in the GPU's memory."""
        import torch

        binding = self._session.io_binding()
        alive = []  # contiguous copies must live until the run is over
        for name, tensor in tensors.items():
            alive.append(tensor.detach().to("cuda").contiguous())
            kind = str(tensor.dtype).removeprefix("torch.").replace("bool", "bool_")
            shape, place = tuple(tensor.shape), alive[-1].data_ptr()
            binding.bind_input(name, "cuda", alive[-1].device.index or 0, _numpy_type(kind), shape, place)
        binding.bind_output("output", "cuda")
        torch.cuda.current_stream().synchronize()  # ONNX Runtime computes in a stream of its own
        self._session.run_with_iobinding(binding)
        return torch.from_dlpack(binding.get_outputs()[0]._ortvalue.to_dlpack()).clone()


def _numpy_type(kind: str) -> Any:
    import numpy as np

    return getattr(np, kind)
