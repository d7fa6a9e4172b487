"""Where inductor keeps its code, which blocks repeat, and what dynamo says it did."""

import os
import tempfile
from pathlib import Path
from typing import Any

from harness.core.effect import Effect
from harness.core.errors import NoEffect
from harness.core.model import TextToImage
from harness.core.outcome import Shown

GRAPHS_AT_MOST = 64
"""Torch's own limit is 8 a function, then it runs eagerly or, with fullgraph, fails: too few for blocks of each width
at each size of a picture and a few batches."""


def keep_code(folder: Path | None) -> None:
    """Tell inductor to keep compiled code in `folder`, so that a later run is warm; None: in a new, empty one."""
    place = str(folder) if folder else tempfile.mkdtemp(prefix="harness-inductor-")
    Path(place).mkdir(parents=True, exist_ok=True)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = place  # read at every compilation; Triton's cache lies in it


def repeated_blocks(denoiser: Any) -> list[str]:
    """Return the classes of blocks that a denoiser repeats, telling them to diffusers where it does not know them.

    Raises NoEffect where there are none.
    """
    if not getattr(denoiser, "_repeated_blocks", None):
        blocks = getattr(denoiser, "transformer_blocks", ())
        denoiser._repeated_blocks = sorted({type(block).__name__ for block in blocks})
    if not denoiser._repeated_blocks:
        raise NoEffect(f"{type(denoiser).__name__} has no repeated blocks", "compiler inductor", "Drop regional.")
    return list(denoiser._repeated_blocks)


class Compiled(Effect):
    """Asks dynamo how many graphs it made, where it gave up, what that took, and whether the cache was warm.

    `mode` is that of torch.compile.
    """

    def __init__(self, what: str, mode: str) -> None:
        import torch

        torch._dynamo.reset()
        torch._dynamo.config.recompile_limit = GRAPHS_AT_MOST
        torch._dynamo.utils.counters.clear()
        self._what, self._before_s, self._before_calls = what, _compile_s(), 0
        self._mode = "" if mode == "default" else f" with mode={mode}"

    def start(self, model: TextToImage) -> None:
        self._before_calls = _graphs()

    def report(self, model: TextToImage, calls: int) -> Shown:
        from torch._dynamo.utils import counters

        graphs, breaks = _graphs(), sum(counters["graph_break"].values())
        if not graphs:
            raise NoEffect("torch.compile made no graph: the denoiser ran in eager mode", "compiler inductor")
        hits, misses = (counters["inductor"][f"fxgraph_cache_{word}"] for word in ("hit", "miss"))
        compile_s = round(_compile_s() - self._before_s, 3)
        late = graphs - self._before_calls
        figures = {"graphs": graphs, "graph_breaks": breaks, "cache_hits": hits, "cache_misses": misses}
        cache = "warm cache" if hits and not misses else "cold cache" if not hits else "partly warm cache"
        summary = (
            f"{self._what} compiled by inductor{self._mode} in {compile_s:.1f} s ({cache}): {graphs} graphs, "
            f"{breaks} graph breaks"
        )
        if late:
            summary += f"; {late} of them made during the timed calls, which are slower for it: raise measure.warmup"
        return Shown(summary=summary, figures={**figures, "graphs_while_timed": late, "compile_s": compile_s})


def _graphs() -> int:
    """Graphs that dynamo has made since an effect began to watch."""
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


def _compile_s() -> float:
    """Seconds dynamo has spent compiling in this process."""
    from torch._dynamo.utils import cumulative_time_spent_ns

    return float(cumulative_time_spent_ns["entire_frame_compile"]) / 1e9
