"""torch.compile with the inductor back end."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar, Literal

from harness.core.axis import AxisValue, Context, Setup, Unavailable, require_packages
from harness.core.effect import Effect
from harness.core.errors import NoEffect
from harness.core.machine import Machine
from harness.core.model import TextToImage
from harness.core.outcome import Caution, Figures, Shown
from harness.core.recipe import RecipeContext, RecipeLines

RECOMPILE_LIMIT = 64
"""Torch's limit of 8 per function is too low for blocks of each width at several sizes and batches:
above it, torch runs eagerly, or fails with fullgraph."""
GRAPH_MODES = frozenset({"reduce-overhead", "max-autotune"})
"""Torch's modes that record CUDA graphs, whose outputs the next replay overwrites."""


class Inductor(AxisValue):
    """The first call at each new shape compiles, which is timed as a separate phase."""

    summary: ClassVar[str] = "torch.compile of the denoiser"
    needs: ClassVar = "a C++ compiler on a CPU"
    tags: ClassVar = frozenset({"compiled"})
    conflicts: ClassVar = frozenset({"no-torch"})
    lazy: ClassVar = True
    tolerance: ClassVar = 1e-3
    examples: ClassVar = ("inductor+regional+fullgraph", "inductor+vae")

    mode: Literal["default", "reduce-overhead", "max-autotune"] = "default"
    """Torch's mode; regional turns off max-autotune's CUDA graphs, which fail between blocks."""
    fullgraph: bool = False
    """Fail where dynamo would break the graph; otherwise breaks are counted."""
    dynamic: Literal["auto"] | bool = "auto"
    """auto: torch compiles the first shape, then one code for all (with regional: like false);
    false: code for each shape."""
    regional: bool = False
    """Compile each kind of repeated block, not the whole denoiser: far quicker, nearly as fast."""
    vae: bool = False
    """Compile the VAE's decoder too."""
    cache: bool = True
    """Keep compiled code for later runs; false measures compilation from nothing."""

    def unavailable(self, machine: Machine) -> Unavailable | None:
        if missing := require_packages(machine, "torch"):
            return missing
        if machine.device == "cpu" and not any(map(shutil.which, ("g++", "clang++"))):
            return Unavailable(reason="no C++ compiler found", hint="apt-get install g++")
        return None

    def refuse(self, context: Context) -> str | None:
        if self.regional and self.mode == "reduce-overhead":
            return (
                "with mode=reduce-overhead, CUDA graphs overwrite the tensors that regional's "
                "blocks exchange: use one of the two"
            )
        records = self.mode in GRAPH_MODES and bool(context.machine.gpus)
        if records and (reason := self._refuse_graphs(context)):
            return reason
        for axis, value in context.values.items():
            if self.fullgraph and "graph-breaks" in value.tags:
                return (
                    f"the {axis} breaks the graph between the layers: "
                    "set fullgraph=false, or use eager"
                )
        return None

    def _refuse_graphs(self, context: Context) -> str | None:
        """Return why CUDA graphs give wrong results or are recorded again in each call."""
        model, graphs = context.model, f"mode={self.mode} records CUDA graphs"
        if self.vae and context.has_tag("divides-decoding"):
            return f"{graphs}, whose output the next tile or slice overwrites: set vae=false"
        if self.vae and "upcasts-vae" in model.tags and _loads_fp16(context):
            return (
                f"{graphs}, but the {model.title} moves its VAE from fp16 to fp32 and back in each "
                "call: set vae=false, or use bf16"
            )
        own = model.scheduler.get("_class_name") if context.has_tag("own-scheduler") else ""
        keeps = own == "PNDMScheduler" or context.has_tag("keeps-outputs")
        if keeps and not model.guided(context.guidance):
            return (
                f"{graphs}, whose output the next step overwrites, but PNDM without guidance keeps "
                "it for later steps: use another scheduler"
            )
        return None

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        if not context.has_tag("graph-breaks"):
            return ()
        message = "the graph breaks at every layer with cast weights: little is left to compile"
        advice = "For speed, choose another precision."
        return (Caution(kind="no-speed-up", message=message, advice=advice),)

    def unseen_memory(self) -> str:
        graphs = self.mode in GRAPH_MODES and not self.regional
        return "torch does not count what CUDA graphs keep" if graphs else ""

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        import torch

        _set_code_folder(setup.cache / "inductor" if self.cache else None)
        options = self.options()
        parts = ["the denoiser"]
        if self.regional:
            parts = [f"blocks of kind {name}" for name in list_repeated_blocks(model.denoiser)]
            model.denoiser.compile_repeated_blocks(**options)
        else:
            model.denoiser = torch.compile(model.denoiser, **options)
        if self.vae:
            model.vae.decoder = torch.compile(model.vae.decoder, **options)
            parts.append("the VAE's decoder")
        return CompiledGraphs(", ".join(parts), options["mode"], model.device)

    def options(self) -> dict[str, Any]:
        """Return the options of torch.compile."""
        # Between blocks, a CUDA graph reads what the next run of the same graph overwrites.
        graphs_fail = self.regional and self.mode == "max-autotune"
        mode = "max-autotune-no-cudagraphs" if graphs_fail else self.mode
        # Blocks of another width are no sign of other sizes: each gets code for its own shape.
        automatic = False if self.regional else None
        dynamic = automatic if self.dynamic == "auto" else self.dynamic
        return {"fullgraph": self.fullgraph, "dynamic": dynamic, "mode": mode}

    def recipe(self, context: RecipeContext) -> RecipeLines:
        words = ", ".join(f"{name}={value!r}" for name, value in self.options().items())
        denoiser = context.denoiser
        lines: tuple[str, ...] = (f"{denoiser} = torch.compile({denoiser}, {words})",)
        if self.regional:
            blocks = f'getattr({denoiser}, "transformer_blocks", ())'
            lines = (
                f'if not getattr({denoiser}, "_repeated_blocks", None):',
                f"    kinds = {{type(block).__name__ for block in {blocks}}}",
                f"    {denoiser}._repeated_blocks = sorted(kinds)",
                f"{denoiser}.compile_repeated_blocks({words})",
            )
        if self.vae:
            lines += (f"pipe.vae.decoder = torch.compile(pipe.vae.decoder, {words})",)
        before = (f"torch._dynamo.config.recompile_limit = {RECOMPILE_LIMIT}",)
        return RecipeLines(before=before, build=lines, pads=True)


def _loads_fp16(context: Context) -> bool:
    """Return whether the weights are loaded in fp16: by name, or as the machine's format."""
    precision = context.values["precision"]
    dtype, compute = getattr(precision, "dtype", ""), getattr(precision, "compute", "auto")
    if dtype or compute != "auto":
        return dtype == "float16" or compute == "fp16"
    return context.machine.native_fp16


def _set_code_folder(folder: Path | None) -> None:
    """Let inductor keep compiled code in `folder`; None: in a new, empty one."""
    place = str(folder) if folder else tempfile.mkdtemp(prefix="harness-inductor-")
    Path(place).mkdir(parents=True, exist_ok=True)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = place  # read at every compilation, also for Triton


def list_repeated_blocks(denoiser: Any) -> list[str]:
    """Return the classes of a denoiser's repeated blocks, registering them in diffusers.

    Raises NoEffect if there are none.
    """
    if not getattr(denoiser, "_repeated_blocks", None):
        blocks = getattr(denoiser, "transformer_blocks", ())
        denoiser._repeated_blocks = sorted({type(block).__name__ for block in blocks})
    if not denoiser._repeated_blocks:
        what = f"{type(denoiser).__name__} has no repeated blocks"
        raise NoEffect(what, "compiler inductor", "Leave regional out.")
    return list(denoiser._repeated_blocks)


class CompiledGraphs(Effect):
    """Reads from dynamo its graphs, graph breaks, compilation time and cache hits."""

    def __init__(self, what: str, mode: str, device: str) -> None:
        import torch

        torch._dynamo.reset()
        torch._dynamo.config.recompile_limit = RECOMPILE_LIMIT
        torch._dynamo.utils.counters.clear()
        self._what, self._before_s, self._before_graphs = what, _read_compile_s(), 0
        self._mode = "" if mode == "default" else f" with mode={mode}"
        self._wants_cuda_graphs = mode in GRAPH_MODES and device.startswith("cuda")

    def start(self, model: TextToImage) -> None:
        self._before_graphs = _count_graphs()

    def report(self, model: TextToImage, calls: int) -> Shown:
        from torch._dynamo.utils import counters

        graphs, breaks = _count_graphs(), sum(counters["graph_break"].values())
        if not graphs:
            what = "torch.compile made no graph: the denoiser ran in eager mode"
            raise NoEffect(what, "compiler inductor")
        hits, misses = (counters["inductor"][f"fxgraph_cache_{word}"] for word in ("hit", "miss"))
        cache = "cold cache" if not hits else "partly warm cache" if misses else "warm cache"
        compile_s, late = round(_read_compile_s() - self._before_s, 3), graphs - self._before_graphs
        summary = (
            f"{self._what} compiled by inductor{self._mode} in {compile_s:.1f} s ({cache}): "
            f"{graphs} graphs, {breaks} graph breaks"
        )
        if late:
            summary += f"; {late} of them during the timed calls, which slows them: "
            summary += "raise measure.warmup"
        figures = {
            "graphs": graphs,
            "graph_breaks": breaks,
            "cache_hits": hits,
            "cache_misses": misses,
            "graphs_while_timed": late,
            "compile_s": compile_s,
        }
        if self._wants_cuda_graphs:
            figures |= _count_cuda_graphs(self._mode)
        return Shown(summary=summary, figures=figures)


def _count_graphs() -> int:
    """Return dynamo's graphs since the effect was made."""
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


def _count_cuda_graphs(mode: str) -> Figures:
    """Return how many CUDA graphs inductor skipped; NoEffect if it recorded none."""
    from torch._dynamo.utils import counters
    from torch._inductor.cudagraph_trees import get_manager

    skipped = int(counters["inductor"]["cudagraph_skips"])
    manager = get_manager(create_if_none_exists=False)
    if manager is None or not list(manager.get_roots()):
        what = f"inductor{mode} recorded no CUDA graph ({skipped} skipped: see the cell's log)"
        raise NoEffect(what, "compiler inductor", "Use mode=default.")
    return {"cuda_graphs_skipped": skipped}


def _read_compile_s() -> float:
    """Return dynamo's compilation time in this process."""
    from torch._dynamo.utils import cumulative_time_spent_ns

    return float(cumulative_time_spent_ns["entire_frame_compile"]) / 1e9
