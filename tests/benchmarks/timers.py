"""What our timers cost and whether they agree with torch's: python -m tests.benchmarks.timers [GROUPS] [--quick]

Ratios of one run, each side by turns as cells are timed (ABBA), with the interval of the speedup. On a machine with
other work the intervals widen; raise GROUPS. Exits with 1 where an interval lies beyond 1 % altogether. The figures of
docs/timing.md are of such a run. With --quick: two groups, whose times do not count.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from harness.core.timing import Block, Pairing, Repeat, Side
from harness.core.units import Absent
from harness.measure.clock import time_block, time_stages
from harness.stats.speedup import speedup

TURNS: tuple[Side, ...] = ("baseline", "cell", "cell", "baseline")
UNCOUNTED = 2
"""Calls that torch's timer makes before the one it tells of: so do we beside it."""

MOST = 1.0
"""Percent by which timing may change what is timed."""

Take = Callable[[], float]
"""Seconds of one call."""


def bundled_call(device: str) -> tuple[Any, Callable[[], object]]:
    """Return the bundled model and a call of four steps on it."""
    from harness.core.matrix import Model
    from harness.core.model import Call
    from harness.models import resolve_model

    source = resolve_model(Model(source="bundled"))
    facts, model = source.describe(), source.load(device, {})
    size = {"width": facts.width, "height": facts.height}
    call = Call(prompts=("a red circle",), keys=(("p", 0),), steps=4, guidance=facts.guidance, **size)
    return model, lambda: model.generate(call)


def compare(name: str, rounds: int, ways: dict[Side, Take]) -> bool:
    """Print how much longer a call takes in the cell's way than in the baseline's, with its 95 % interval.

    Return whether that may be within MOST.
    """
    blocks = []
    for round_index in range(rounds):
        for side in TURNS:
            repeat = Repeat(latency_s=ways[side]())
            blocks.append(Block(side=side, round_index=round_index, begun_s=float(len(blocks)), repeats=(repeat,)))
    found = speedup(Pairing(kind="interleaved", blocks=tuple(blocks)))
    assert not isinstance(found.interval, Absent), found.interval.absent
    value, low, high = ((1 / ratio - 1) * 100 for ratio in (found.estimate, found.interval.high, found.interval.low))
    print(f"{name:42s} {value:+.2f} % [{low:+.2f}, {high:+.2f}]", flush=True)
    return low <= MOST and high >= -MOST


def seconds_a_part(device: str) -> float:
    """Return what timing adds to one call of a part, by a part that does nothing."""
    import torch

    part, rounds = torch.nn.Identity(), 1000

    def spent() -> float:
        begin = time.perf_counter()
        for _ in range(rounds):
            part(0)
        return time.perf_counter() - begin

    bare = min(spent() for _ in range(5))
    with time_stages({"denoiser": part}, device):
        watched = min(spent() for _ in range(5))
    return (watched - bare) / rounds


def against_torch(name: str, rounds: int, run: Callable[[], object], device: str) -> bool:
    """Compare both timers on the same callable; see `compare`."""
    from torch.utils.benchmark import Timer

    timer = Timer("run()", globals={"run": run})

    def ours() -> float:
        for _ in range(UNCOUNTED):
            run()
        with time_block(device) as watch:
            run()
        return watch.seconds

    return compare(name, rounds, {"baseline": lambda: timer.timeit(1).mean, "cell": ours})


def main() -> int:
    import torch

    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser = argparse.ArgumentParser(description="What our timers cost.")
    parser.add_argument("rounds", type=int, nargs="?", default=100)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    rounds = 2 if options.quick else options.rounds
    model, run = bundled_call(device)
    part_calls: list[int] = []

    def plain() -> float:
        with time_block(device) as watch:
            run()
        return watch.seconds

    def staged() -> float:
        with time_stages(model.parts(), device) as clock, time_block(device) as watch:
            run()
        part_calls.append(len(clock.calls()))
        return watch.seconds

    least_s = min(staged() for _ in range(10))
    each_s = seconds_a_part(device)
    share = each_s * part_calls[0] / least_s
    print(f"{rounds} groups on {device}; load of the machine before: {os.getloadavg()[0]:.2f}")
    print(f"{part_calls[0]} calls of parts at {each_s * 1e6:.1f} µs in a call of {least_s * 1e3:.0f} ms: {share:.3%}")
    found = [
        compare("stages and steps timed, against not", rounds, {"baseline": plain, "cell": staged}),
        against_torch("our timer, against torch's, same call", rounds, run, device),
    ]
    side = 8192 if device == "cuda" else 768  # some milliseconds: mostly over before another program gets its turn
    matrix = torch.ones(side, side, device=device)
    found += [against_torch("our timer, against torch's, one product", 10 * rounds, lambda: matrix @ matrix, device)]
    return int(not options.quick and (not all(found) or share > MOST / 100))


if __name__ == "__main__":
    sys.exit(main())
