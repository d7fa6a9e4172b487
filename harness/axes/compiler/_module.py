"""Modules around a denoiser: one that torch.export reads, one that takes its place in the pipeline. Imports torch."""

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.modeling_outputs import Transformer2DModelOutput

from harness.axes.compiler._inputs import Inputs, join, split
from harness.axes.compiler._recording import Recording
from harness.core.errors import HarnessError
from harness.core.trace import region

Run = Callable[[dict[str, torch.Tensor]], torch.Tensor]
"""Computes the denoiser's output from its tensors by name."""


class Flat(torch.nn.Module):
    """A denoiser that takes its tensors in the order of a recording and returns one tensor."""

    def __init__(self, denoiser: torch.nn.Module, recording: Recording) -> None:
        super().__init__()
        self.denoiser, self.recording = denoiser, recording

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        inputs = self.recording.inputs
        named = dict(zip(inputs.tensors, tensors, strict=True))
        for (name, axis), *others in self.recording.groups:
            for other, place in others:  # else the exporter takes the batch of each tensor for a size of its own
                torch._check(named[name].shape[axis] == named[other].shape[place])
        return self.denoiser(**join(Inputs(named, inputs.constants)))[0]


class Replacement(torch.nn.Module):
    """Stands in a pipeline where the denoiser stood, and computes with something else.

    The denoiser itself stays as a skeleton without weights: pipelines ask it for its configuration and layer sizes.
    """

    def __init__(self, skeleton: torch.nn.Module, recording: Recording, run: Run, engine_bytes: int) -> None:
        super().__init__()
        self.__dict__["_skeleton"] = skeleton.to("meta")  # not a submodule: it holds no weights
        self._dtype, self._recording, self._run = skeleton.dtype, recording, run
        self.device = next(iter(recording.inputs.tensors.values())).device
        self.engine_bytes, self.calls = engine_bytes, 0

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["_skeleton"], name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        given = split(self._recording.signature, args, kwargs)
        known = self._recording.inputs.tensors
        if set(given.tensors) != set(known):
            what = f"the denoiser is given {sorted(given.tensors)} but was exported for {sorted(known)}"
            raise HarnessError(what, "compiler", "Leave out what changes the denoiser's arguments, or use eager.")
        self.calls += 1
        with region("engine"):
            output = self._run(given.tensors)
        return Transformer2DModelOutput(sample=output) if given.constants.get("return_dict", True) else (output,)
