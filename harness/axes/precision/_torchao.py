"""torchao: weights of Linear layers only, in kernels made for torch.compile."""

from typing import Any, ClassVar

from harness.axes.precision._layers import QuantizedLayers
from harness.axes.precision._quantized import Quantized
from harness.axes.precision._tally import Figures
from harness.core.axis import Setup, Unavailable
from harness.core.machine import Machine
from harness.core.model import TextToImage


class Torchao(Quantized):
    needs: ClassVar = "pip install torchao"
    package: ClassVar = "torchao"
    capability: ClassVar[tuple[int, int] | None] = None
    """What the GPU must offer at least; None runs on a CPU too."""

    def config(self) -> Any:
        """Return torchao's configuration of this format."""
        raise NotImplementedError

    def unavailable(self, machine: Machine) -> Unavailable | None:
        if self.capability is not None:
            if not machine.gpus:
                return Unavailable(
                    reason=f"torchao's {self.weights} kernels need a GPU", hint="use a quanto value here"
                )
            if machine.gpus[0].capability < self.capability:
                needed, has = (".".join(map(str, pair)) for pair in (self.capability, machine.gpus[0].capability))
                return Unavailable(reason=f"needs compute capability {needed}, this GPU has {has}")
        return super().unavailable(machine)

    def quantize(self, parts: list[QuantizedLayers], model: TextToImage, setup: Setup) -> Figures:
        from torchao.quantization import quantize_

        for part in parts:
            chosen = set(part.layers)
            quantize_(part.module, self.config(), filter_fn=lambda _, name, chosen=chosen: name in chosen)
        return {}
