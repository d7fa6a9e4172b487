"""What the compilers share that take the denoiser out of torch as an ONNX graph."""

from typing import ClassVar

from harness.core.axis import AxisValue, Unavailable
from harness.core.machine import Machine


class Exported(AxisValue):
    """Compute the denoiser outside torch: nothing that lives in its layers, such as a cache of blocks, comes along."""

    tags: ClassVar = frozenset({"compiled", "exported"})
    conflicts: ClassVar = frozenset({"no-torch", "quantized", "block-cache"})
    stateful: ClassVar = True  # one session, which has all the threads

    def _missing(self, machine: Machine, *packages: str) -> Unavailable | None:
        for package in packages:
            if package not in machine.packages:
                return Unavailable(reason=f"{package} is not installed", hint=f"pip install {package}")
        return None
