"""Rules about the whole call.

Time between stages, casts, VAE, text encoders, recompilation, waits, transfers.
"""

from harness.core.trace import BETWEEN
from harness.core.units import Absent, format_bytes, format_percent, format_seconds
from harness.tracing.rule import (
    Advice,
    AdviceRule,
    Tries,
    advise_on_call,
    list_possible,
    name_tries,
    suggest_larger_batch,
)
from harness.tracing.traced_cell import Bound, TracedCell


def between(cell: TracedCell, bound: Bound) -> Advice | None:
    """Scheduler steps, tokenizing and image conversion are Python outside compiled parts."""
    share = cell.share(BETWEEN)
    if share < 0.08:
        return None
    sentence = (
        f"{format_percent(share, 0)} of the call lies between the stages: the scheduler's steps, "
        "Python, copies"
    )
    gap = next((gap for gap in cell.facts.gaps if gap.stage == BETWEEN and gap.host), None)
    if gap and gap.seconds >= 0.01 * cell.facts.wall_s:
        sentence += f" (the longest pause, {format_seconds(gap.seconds)}: {gap.host})"
    tries = suggest_larger_batch(cell)
    if tries:
        sentence += f"; images of one call share it: try {name_tries(tries)}"
    return advise_on_call("between", f"{sentence}.", share, tries)


def casts(cell: TracedCell, bound: Bound) -> Advice | None:
    """Weights or activations are stored in one number format and computed in another."""
    share = cell.working(cell.facts.casts.lost_s)
    if share < 0.05:
        return None
    sentence = (
        f"{format_percent(share, 0)} of the call is conversion between number formats "
        f"({cell.facts.casts.count:,} conversions in the traced call): a precision that computes "
        "in the format it stores needs none."
    )
    return advise_on_call("casts", sentence, share)


def decoding(cell: TracedCell, bound: Bound) -> Advice | None:
    """With few steps, most of the call is the VAE decoder, which runs once per image."""
    share = cell.share("vae")
    if share < 0.15:
        return None
    compiler, memory = cell.setting("compiler"), cell.setting("memory")
    base = "inductor" if compiler in ("", "eager") else compiler
    tries = (
        list_possible(cell, "compiler", f"{base}+vae")
        if base.startswith("inductor") and "+vae" not in base
        else ()
    )
    ways = (
        [f"where it fits whole, memory {memory} is not needed"] if memory.startswith("vae-") else []
    )
    ways += [f"{name_tries(tries)} compiles the decoder too"] if tries else []
    sentence = (
        f"{format_percent(share, 0)} of the call is the VAE's decoding "
        f"({format_seconds(cell.stage_s('vae'))})"
    )
    return advise_on_call(
        "decoding", f"{sentence}: {'; '.join(ways)}." if ways else f"{sentence}.", share, tries
    )


def encoding(cell: TracedCell, bound: Bound) -> Advice | None:
    """Repeated prompts need not be encoded again."""
    encoders = [
        stage.stage for stage in cell.facts.stages if stage.stage.startswith("text_encoder")
    ]
    share = sum(cell.share(stage) for stage in encoders)
    if share < 0.08 or cell.setting("caching").startswith("prompt-embeddings"):
        return None
    tries = list_possible(cell, "caching", "prompt-embeddings")
    if not tries:
        return None
    sentence = (
        f"{format_percent(share, 0)} of the call encodes the prompt: for repeated prompts, try "
        f"{tries[0]}."
    )
    return advise_on_call("encoding", sentence, share, tries)


def recompiles(cell: TracedCell, bound: Bound) -> Advice | None:
    """A warmed-up call that compiles has a shape or a value for which no code was compiled."""
    count, compiler = cell.facts.recompiles, cell.setting("compiler")
    if isinstance(count, Absent) or not count:
        return None
    sentence = (
        f"torch.compile compiled {'once' if count == 1 else f'{count} times'} during the traced "
        "call"
    )
    tries: Tries = ()
    if compiler.startswith("inductor") and "dynamic" not in compiler:
        tries = list_possible(cell, "compiler", f"{compiler}+dynamic")
    if tries:
        sentence += f"; try {tries[0]}, whose code serves all shapes"
    return Advice(
        rule="recompiles",
        sentence=f"{sentence}.",
        figure=count,
        unit="compilations",
        concerns=cell.waiting(cell.facts.compiling_s),
        tries=tries,
    )


def synchronisations(cell: TracedCell, bound: Bound) -> Advice | None:
    """Each `.item()`, `.cpu()` or `nonzero()` in the denoising loop drains the GPU's queue."""
    waits, stage = cell.facts.synchronisations, cell.denoiser
    if stage is None or waits.in_loop < stage.calls:
        return None
    share = cell.waiting(waits.lost_s)
    if share < 0.02:
        return None
    callers = ", ".join(f"{name} {count}×" for name, count in list(waits.callers.items())[:2])
    each = waits.in_loop / stage.calls
    often = "once" if round(each, 2) == 1 else f"{each:.3g} times"
    sentence = (
        f"The host waits for the GPU {often} per denoising step ({callers}), which leaves the GPU "
        f"idle for {format_percent(share, 0)} of the call: keep these values on the GPU, or use a "
        "scheduler or a cache that does not read them back."
    )
    return Advice(
        rule="synchronisations",
        sentence=sentence,
        figure=each,
        unit="waits per denoising step",
        concerns=share,
    )


def transfers(cell: TracedCell, bound: Bound) -> Advice | None:
    """Weights are offloaded, or tensors are created on the host; overlapped copies do not count."""
    to_device, to_host = cell.facts.host_to_device, cell.facts.device_to_host
    share = cell.working(to_device.lost_s) + cell.working(to_host.lost_s)
    if share < 0.05:
        return None
    memory, size = cell.setting("memory"), format_bytes(to_device.size_bytes + to_host.size_bytes)
    sentence = (
        f"{format_percent(share, 0)} of the call is copies between host and GPU ({size} in the "
        "traced call): "
    )
    tries: Tries = ()
    if "offload" in memory:
        tries = list_possible(cell, "memory", "none")
        sentence += (
            f"memory {memory} moves the weights; where they fit into the GPU, use memory none."
        )
    else:
        sentence += "create tensors on the GPU, and keep them there."
    return advise_on_call("transfers", sentence, share, tries)


RULES: tuple[AdviceRule, ...] = (
    between,
    casts,
    decoding,
    encoding,
    recompiles,
    synchronisations,
    transfers,
)
