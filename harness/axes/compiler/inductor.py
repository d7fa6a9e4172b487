"""torch.compile with the inductor back end."""

import shutil
from typing import Any, ClassVar, Literal

from harness.axes.compiler._inductor import Compiled, keep_code, repeated_blocks
from harness.core.axis import AxisValue, Context, Setup, Unavailable
from harness.core.effect import Effect
from harness.core.machine import Machine
from harness.core.model import TextToImage
from harness.core.outcome import Caution


class Inductor(AxisValue):
    """Compile the denoiser; the first call at each new shape pays, so it is timed as a phase of its own."""

    summary: ClassVar[str] = "torch.compile of the denoiser"
    needs: ClassVar = "a C++ compiler on a CPU"
    tags: ClassVar = frozenset({"compiled"})
    conflicts: ClassVar = frozenset({"no-torch"})
    lazy: ClassVar = True
    tolerance: ClassVar = 1e-3
    examples: ClassVar = ("inductor+regional+fullgraph", "inductor+vae")

    mode: Literal["default", "reduce-overhead", "max-autotune"] = "default"
    """As torch names them; with regional, max-autotune is max-autotune-no-cudagraphs: graphs fail between blocks."""
    fullgraph: bool = False
    """Fail where dynamo would break the graph; without it the breaks are counted."""
    dynamic: Literal["auto"] | bool = "auto"
    """Auto, as torch: the first shape has code of its own, the second compiles code for all; false: each its own."""
    regional: bool = False
    """Compile one of each kind of repeated block instead of the whole denoiser: far quicker, nearly as fast."""
    vae: bool = False
    """Compile the VAE's decoder too."""
    cache: bool = True
    """Keep the compiled code for later runs; false compiles from nothing, to measure what that costs."""

    def unavailable(self, machine: Machine) -> Unavailable | None:
        if "torch" not in machine.packages:
            return Unavailable(reason="torch is not installed", hint="pip install torch")
        if machine.device == "cpu" and not any(shutil.which(name) for name in ("g++", "clang++")):
            return Unavailable(reason="no C++ compiler found", hint="apt-get install g++")
        return None

    def refuse(self, context: Context) -> str | None:
        if self.regional and self.mode == "reduce-overhead":
            return "the CUDA graphs of mode=reduce-overhead overwrite what regional's blocks hand each other: use one"
        for axis, value in context.values.items():
            if self.fullgraph and "graph-breaks" in value.tags:
                return (
                    f"the {axis} works between the layers and breaks the graph at each: set fullgraph=false, or eager"
                )
        return None

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        if not any("graph-breaks" in value.tags for value in context.values.values()):
            return ()
        message = "the compiled graph breaks at every layer whose weights are cast, and little is left to compile"
        return (Caution(kind="no-speed-up", message=message, advice="For speed, choose another precision."),)

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        import torch

        keep_code(setup.cache / "inductor" if self.cache else None)
        # CUDA graphs fail between blocks: one reads what the next run of the same graph overwrites
        mode = "max-autotune-no-cudagraphs" if self.regional and self.mode == "max-autotune" else self.mode
        dynamic = None if self.dynamic == "auto" else self.dynamic
        options: dict[str, Any] = {"fullgraph": self.fullgraph, "dynamic": dynamic, "mode": mode}
        parts = ["the denoiser"]
        if self.regional:
            parts = [f"blocks of kind {name}" for name in repeated_blocks(model.denoiser)]
            model.denoiser.compile_repeated_blocks(**options)
        else:
            model.denoiser = torch.compile(model.denoiser, **options)
        if self.vae:
            model.vae.decoder = torch.compile(model.vae.decoder, **options)
            parts.append("the VAE's decoder")
        return Compiled(", ".join(parts), mode)
