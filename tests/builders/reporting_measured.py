"""Believable measurements for the report's example: blocks by turns, conditions, memory, facts of a trace."""

import random
from typing import NamedTuple

from harness.core.outcome import NO_MEMORY, Memory
from harness.core.timing import Block, Conditions, ForeignProcess, Pairing, Repeat, Side
from harness.core.trace import Family, Gap, Kernel, Span, StageTime, Tally, TraceFacts, Waits
from harness.core.units import Absent

ROUNDS, CALLS = 8, 2
NO_GPU, NO_RAPL = Absent(absent="no GPU"), Absent(absent="RAPL is readable by root only (CVE-2020-8694)")
PRECISE = "the precision asked for was reached"


class Timed(NamedTuple):
    """How a synthetic cell's calls went: seconds of a call of both sides, and what befell them."""

    id: str
    latency_s: float
    baseline_s: float
    steps: int
    gpu: bool = False
    event: str = ""
    """throttled, two-speeds, sandwiched, warming, outliers, or nothing."""


def repeat_of(latency_s: float, steps: int, dice: random.Random) -> Repeat:
    """Return one call with its stages and steps."""
    share = latency_s * 0.86 / steps
    step_times = tuple(share * dice.gauss(1, 0.05) * (1.4 if step == 0 else 1) for step in range(steps))
    stages = {"text_encoder": latency_s * 0.03, "denoiser": sum(step_times), "vae": latency_s * 0.07}
    return Repeat(latency_s=latency_s, stages_s=stages, steps_s=step_times)


def summarize_conditions(
    gpu: bool, dice: random.Random, repeats: tuple[Repeat, ...], throttled: bool = False
) -> Conditions:
    """Return the state of a machine while a block was timed; its energy is the power over the time of its calls."""
    cpu = {"cpu_mhz": dice.gauss(3240, 20), "cpu_load": abs(dice.gauss(0.03, 0.02)), "cpu_throttled": 0}
    if not gpu:
        absent = dict.fromkeys(("clock_mhz", "memory_clock_mhz", "temperature_c", "power_w", "throttle",
                                "foreign_processes"),
                               NO_GPU)  # fmt: skip
        return Conditions.model_validate(absent | cpu | {"energy_j": NO_RAPL})
    power_w, spent_s = dice.gauss(540, 15), sum(repeat.latency_s for repeat in repeats)
    return Conditions(
        clock_mhz=dice.gauss(1410 if throttled else 1930, 12), memory_clock_mhz=3201,
        temperature_c=dice.gauss(84 if throttled else 63, 1.5), power_w=power_w,
        throttle=("hw_thermal_slowdown",) if throttled else (), energy_j=power_w * spent_s,
        foreign_processes=(ForeignProcess(pid=4242, name="Xorg", used_bytes=31 << 20),) if throttled else (), **cpu,  # type: ignore[arg-type]
    )  # fmt: skip


def calls_of(timed: Timed, side: Side, round_index: int, dice: random.Random) -> tuple[Repeat, ...]:
    """Return the calls of one block."""
    latency = timed.latency_s if side == "cell" else timed.baseline_s
    clock = 1 + 0.02 * round_index if timed.event == "sandwiched" else 1.0  # it gets slower and slower
    if timed.event == "two-speeds" and side == "cell" and dice.random() < 0.4:
        clock *= 1.09
    if timed.event == "warming" and round_index < 3:
        clock *= 1.3
    calls = []
    for call in range(CALLS):
        odd = 1.5 if timed.event == "outliers" and side == "cell" and round_index == 3 and call else 1.0
        calls.append(repeat_of(latency * clock * odd * dice.gauss(1, 0.006), timed.steps, dice))
    return tuple(calls)


def sides_of(event: str) -> list[tuple[Side, int]]:
    """Return the blocks' sides and groups in the order in which they are timed."""
    if event == "sandwiched":
        parts: tuple[tuple[Side, int, int], ...] = (("baseline", 0, 4), ("cell", 1, 8), ("baseline", 2, 4))
        return [(side, round_index) for side, round_index, count in parts for _ in range(count)]
    rounds = 2 * ROUNDS if event == "warming" else ROUNDS
    return [(side, round_index) for round_index in range(rounds) for side in ("baseline", "cell", "cell", "baseline")]


def pairing_of(timed: Timed) -> Pairing:
    """Return a cell's blocks between the baseline's."""
    dice, clock_s = random.Random(f"{timed.id} timed"), 0.0
    blocks = []
    for index, (side, round_index) in enumerate(sides_of(timed.event)):
        throttled = timed.event == "throttled" and index == 9
        repeats = calls_of(timed, side, round_index, dice)
        if throttled:
            slow = tuple(repeat_of(repeat.latency_s * 1.34, timed.steps, dice) for repeat in repeats)
            blocks.append(Block(side=side, round_index=round_index, begun_s=clock_s, repeats=slow,
                                conditions=summarize_conditions(timed.gpu, dice, slow, throttled=True),
                                superseded="the GPU was slowed: hw_thermal_slowdown"))  # fmt: skip
            clock_s += sum(repeat.latency_s for repeat in slow) + 0.02
        conditions = summarize_conditions(timed.gpu, dice, repeats)
        blocks.append(
            Block(side=side, round_index=round_index, begun_s=clock_s, repeats=repeats, conditions=conditions)
        )
        clock_s += sum(repeat.latency_s for repeat in repeats) + 0.02
    if timed.event == "sandwiched":
        why = "both do not fit into memory: 21 GiB and 14 GiB are needed, 24 GiB are there"
        return Pairing(kind="sandwiched", why=why, blocks=tuple(blocks), stopped=PRECISE)
    stopped = "the time was up (measure.max_s = 60)" if timed.event in ("two-speeds", "outliers") else PRECISE
    return Pairing(kind="interleaved", blocks=tuple(blocks), stopped=stopped)


def alone_of(timed: Timed) -> Pairing:
    """Return the baseline's own blocks."""
    blocks = [block for block in pairing_of(timed).blocks if block.side == "cell"]
    own = tuple(block.model_copy(update={"round_index": index}) for index, block in enumerate(blocks))
    return Pairing(kind="alone", blocks=own, stopped=PRECISE)


def build_memory(size: int, gpu: bool) -> Memory:
    """Return the highest memory of a call for images of this side length."""
    resident = int(612e6 if size == 64 else 734e6)
    if not gpu:
        update: dict[str, object] = {"resident_bytes": resident, "resident_before_bytes": int(548e6)}
        for name in ("allocated_bytes", "reserved_bytes", "device_used_bytes"):
            update[name] = NO_GPU
        return NO_MEMORY.model_copy(update=update)
    return Memory(allocated_bytes=int(7.1e9), reserved_bytes=int(7.9e9), device_used_bytes=int(8.6e9),
                  resident_bytes=resident * 4, resident_before_bytes=resident * 3)  # fmt: skip


_SHARES: dict[str, dict[Family, float]] = {
    "text_encoder": {"gemm": 0.5, "attention": 0.1, "norm": 0.05, "elementwise": 0.1},
    "denoiser": {"gemm": 0.17, "attention": 0.07, "convolution": 0.05, "norm": 0.03, "elementwise": 0.05, "copy": 0.01},
    "vae": {"convolution": 0.6, "norm": 0.1, "elementwise": 0.12, "attention": 0.03, "other": 0.02},
}
_KERNELS: tuple[tuple[str, Family, str, int, float], ...] = (
    ("sm90_xmma_gemm_f16f16_f16f32_f32_tn_n_tilesize128x128x64_warpgroupsize2x1x1_execute_segment_k_off_kernel"
     "__5x_cublas", "gemm", "denoiser", 960, 0.11),
    ("void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<64, 128, 4>>", "attention", "denoiser", 280, 0.07),
    ("void implicit_convolve_sgemm<float, float, 128, 5, 5, 3, 3, 3, 1, false>", "convolution", "vae", 44, 0.6),
    ("void at::native::vectorized_elementwise_kernel<4, silu>", "elementwise", "denoiser", 512, 0.04),
    ("void at::native::RowwiseMomentsCUDAKernel<c10::Half>", "norm", "denoiser", 244, 0.03),
)  # fmt: skip


def compute_facts(latency_s: float, steps: int, gpu: bool) -> TraceFacts:
    """Return what a trace of the first steps of a call says."""
    walls = {"text_encoder": latency_s * 0.03, "denoiser": latency_s * 0.86 / steps * min(steps, 3),
             "vae": latency_s * 0.07}  # fmt: skip
    stages = tuple(
        StageTime(stage=name, calls=min(steps, 3) if name == "denoiser" else 1, wall_s=wall,
                  busy_s=wall * sum(_SHARES[name].values()), kernels=900, launches=900, graph_launches=0,
                  launch_s=wall * 0.3,
                  families_s={family: wall * share for family, share in _SHARES[name].items()})
        for name, wall in walls.items()
    )  # fmt: skip
    kernels = tuple(
        Kernel(name=name, family=family, stage=stage, calls=calls, total_s=share * walls[stage])
        for name, family, stage, calls, share in _KERNELS
    )
    tally = Tally(count=12, total_s=latency_s * 0.004)
    return TraceFacts(
        device="cuda" if gpu else "cpu", wall_s=sum(walls.values()) * 1.02,
        busy_s=sum(stage.busy_s for stage in stages), stages=stages, kernels=kernels,
        gaps=(Gap(begin_s=walls["text_encoder"] * 1.1, seconds=latency_s * 0.006, stage="denoiser", host="aten::item",
                  after="vectorized_elementwise_kernel", before="sm90_xmma_gemm"),),
        synchronisations=Waits(**tally.model_dump(), in_loop=9, idle_s=latency_s * 0.002, callers={"aten::item": 9}),
        host_to_device=tally.model_copy(update={"size_bytes": 3 << 20}),
        device_to_host=Tally(count=1, total_s=latency_s * 0.001, size_bytes=12288), casts=Tally(count=40, total_s=1e-4),
        recompiles=Absent(absent="nothing was compiled"), timeline=spans_of(walls, min(steps, 3)),
        notes=("3 of the call's steps were traced",),
    )  # fmt: skip


def spans_of(walls: dict[str, float], steps: int) -> tuple[Span, ...]:
    """Return stages one after the other, steps within the denoiser, a region within each step."""
    spans, begin = [], 0.0
    for name, wall in walls.items():
        spans.append(Span(kind="stage", name=name, begin_s=begin, seconds=wall, depth=0))
        for step in range(steps if name == "denoiser" else 0):
            each = wall / steps
            spans.append(
                Span(kind="step", name=f"step {step + 1}", begin_s=begin + step * each, seconds=each * 0.97, depth=1)
            )
            spans.append(
                Span(
                    kind="region",
                    name="latent cache",
                    begin_s=begin + (step + 0.02) * each,
                    seconds=each * 0.1,
                    depth=2,
                )
            )
        begin += wall * 1.005
    return tuple(spans)
