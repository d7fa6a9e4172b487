"""Run a TensorRT engine over torch tensors, in torch's own stream."""

import importlib
from typing import Any

from harness.axes.compiler._artefacts import Artefact
from harness.axes.compiler._engine import PLAN
from harness.axes.compiler._inputs import Tensors
from harness.axes.compiler._profile import Profile
from harness.axes.compiler._recording import Recording
from harness.core.errors import HarnessError


class EngineSession:
    """One execution context; batches beyond the profile are computed in parts."""

    def __init__(self, built: Artefact, package: str, recording: Recording, profile: Profile) -> None:
        trt = importlib.import_module(package)
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self._engine = self._runtime.deserialize_cuda_engine((built.folder / PLAN).read_bytes())
        if self._engine is None:
            raise HarnessError(f"{package} cannot load its engine {built.folder}", "compiler", "Delete that folder.")
        self._context = self._engine.create_execution_context()
        names = [self._engine.get_tensor_name(number) for number in range(self._engine.num_io_tensors)]
        inputs = {name for name in names if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT}
        self._types = {name: _torch_type(trt, self._engine.get_tensor_dtype(name)) for name in names}
        self._inputs, self._output = inputs, next(name for name in names if name not in inputs)
        self._batch, self._profile = recording.groups[0], profile

    def run(self, tensors: Tensors) -> Any:
        """Return the output for tensors by name; rows of the batch in parts that the profile allows."""
        from harness.axes.compiler._parts import in_parts

        given = {name: tensors[name].to("cuda", self._types[name]) for name in self._inputs}
        batch = tuple(place for place in self._batch if place[0] in given)
        return in_parts(self._execute, given, batch, self._profile)

    def _execute(self, tensors: Tensors) -> Any:
        import torch

        alive = {name: tensor.contiguous() for name, tensor in tensors.items()}  # alive until the engine was started
        for name, tensor in alive.items():
            if not self._context.set_input_shape(name, tuple(tensor.shape)):
                what = f"the engine was not built for {name} of shape {tuple(tensor.shape)}"
                raise HarnessError(what, "compiler", "Set dynamic=true, or one resolution.")
            self._context.set_tensor_address(name, tensor.data_ptr())
        shape = tuple(self._context.get_tensor_shape(self._output))
        output = torch.empty(shape, dtype=self._types[self._output], device="cuda")
        self._context.set_tensor_address(self._output, output.data_ptr())
        if not self._context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
            raise HarnessError("the engine could not run", "compiler", "See the log of this cell.")
        return output


def _torch_type(trt: Any, kind: Any) -> Any:
    import torch

    words = {"FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16", "INT32": "int32", "INT64": "int64"}
    return getattr(torch, {**words, "BOOL": "bool"}[str(kind).rpartition(".")[2]])
