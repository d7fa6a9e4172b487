"""How much faster each compiler runs the bundled denoiser on this machine: python -m tests.benchmarks.denoiser_backends

Every back end computes the same recorded inputs, in turns, so that a busy machine slows them all; ratios are of the
medians of one run. Arguments: backends to compare (default: all that run here). With --quick: two rounds of
eager alone.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ROUNDS = 30
BACKENDS = ("eager", "onnxruntime", "openvino", "inductor")


def _machine_fit(name: str) -> str | None:
    from harness.axes import read_entry, resolve_setting
    from harness.measure.machine import describe_machine

    missing = resolve_setting(read_entry("compiler", name)).unavailable(describe_machine())
    return None if missing is None else str(missing)


def _prepare(name: str, cache: Path) -> tuple[Any, dict[str, Any], Any]:
    """Return the denoiser run by a back end, its arguments, and the effect that tells what was done."""
    from harness.axes import read_entry, resolve_setting
    from harness.axes.compiler._replacement import join, record
    from harness.core.axis import Setup
    from harness.core.matrix import Model
    from harness.core.model import Call
    from harness.models import resolve_model

    source = resolve_model(Model(source="bundled"))
    facts, model = source.describe(), source.load("cpu", {})
    size = {"width": facts.width, "height": facts.height}
    call = Call(prompts=("a red circle",), keys=(("p", 0),), steps=4, guidance=facts.guidance, **size)
    arguments = join(record(model, call).inputs)
    effect = resolve_setting(read_entry("compiler", name)).apply(model, Setup(call, 1, cache))
    return model.denoiser, arguments, effect


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description="Speed of the bundled denoiser by compiler.")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(BACKENDS)}")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    names = options.names or BACKENDS[: 1 if options.quick else None]

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    cache = Path(tempfile.gettempdir()) / "harness-benchmark-builds"
    ready, seconds = {}, {}
    for name in names:
        reason = _machine_fit(name)
        if reason is not None:
            print(f"{name:12s} {reason}")
            continue
        begin = time.perf_counter()
        ready[name] = _prepare(name, cache)
        with torch.no_grad():
            ready[name][0](**ready[name][1])  # the first call pays for compilation
        print(f"{name:12s} ready after {time.perf_counter() - begin:.1f} s", flush=True)
        seconds[name] = []
    with torch.no_grad():
        for _ in range(2 if options.quick else ROUNDS):
            for name, (denoiser, arguments, _effect) in ready.items():
                begin = time.perf_counter()
                denoiser(**arguments)
                seconds[name].append(time.perf_counter() - begin)
    for name, samples in seconds.items():
        took = median(samples)
        ratio = median(seconds["eager"]) / took
        print(f"{name:12s} {took * 1e3:7.2f} ms   {ratio:.2f}x eager   (fastest {min(samples) * 1e3:.2f} ms)")


if __name__ == "__main__":
    main()
