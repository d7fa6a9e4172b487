"""torch.compile with the inductor back end."""

import shutil
from typing import ClassVar, Literal

from harness.core.axis import AxisValue, Unavailable
from harness.core.machine import Machine
from harness.core.model import TextToImage


class Inductor(AxisValue):
    """Compile the denoiser; the first call at each new shape pays, so it is timed as a phase of its own."""

    summary: ClassVar[str] = "torch.compile of the denoiser"
    tags: ClassVar = frozenset({"compiled"})
    conflicts: ClassVar = frozenset({"no-torch"})
    lazy: ClassVar = True

    mode: Literal["default", "reduce-overhead", "max-autotune"] = "default"
    fullgraph: bool = True
    dynamic: bool = True
    """One compilation for all batch sizes; false compiles each shape anew, for the last per cent of speed."""

    def unavailable(self, machine: Machine) -> Unavailable | None:
        if "torch" not in machine.packages:
            return Unavailable(reason="torch is not installed", hint="pip install torch")
        if machine.device == "cpu" and not any(shutil.which(name) for name in ("g++", "clang++")):
            return Unavailable(reason="no C++ compiler found", hint="apt-get install g++")
        return None

    def apply(self, model: TextToImage) -> tuple[str, ...]:
        import torch

        role = "unet" if hasattr(model.pipeline, "unet") else "transformer"
        denoiser = getattr(model.pipeline, role)
        mode = None if self.mode == "default" else self.mode
        compiled = torch.compile(denoiser, mode=mode, fullgraph=self.fullgraph, dynamic=self.dynamic or None)
        setattr(model.pipeline, role, compiled)
        return (f"compiler: torch.compile of the {role} (inductor, {self.mode})",)
