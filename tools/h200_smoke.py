"""Check on a GPU what only a GPU can show: ten checks, one table, all files kept.

    python -m tools.h200_smoke --out FOLDER [--matrix FILE] [--budget_s 540]

The checks: `doctor`, `plan`, the baseline against itself three times, each cell of the matrix, a
profile with its explanation, a foreign process that must be refused, and the card chosen by its
UUID. A check that needs a GPU is skipped without one; one without time left is not begun. Exit code
1 if a check failed. FOLDER gets smoke.json (the table), the output of every command, and the runs
with logs and traces, without images.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from harness.core.outcome import Completed, Failed
from harness.core.plan import RERUN_ID
from harness.core.units import Absent
from harness.results.cell import CellResult
from harness.results.run import Run

State = Literal["ok", "failed", "skipped"]
AA_RUNS = 3
REFUSED_WITHIN_S = 60.0
"""Most seconds until a foreign process is noticed; a worker imports for 13 of them."""
HOLDS_THE_CARD = (
    "import torch; x = torch.ones(2**28, device='cuda'); print('up', flush=True); input()"
)


@dataclass(frozen=True)
class Check:
    """One check: what it found, and the seconds it took."""

    name: str
    state: State
    found: str
    seconds: float = 0.0


@dataclass
class Smoke:
    """The checks of one machine; every command's output is kept in `out`."""

    out: Path
    matrix: Path
    budget_s: float
    checks: list[Check] = field(default_factory=list)
    begun_s: float = field(default_factory=time.monotonic)

    @property
    def left_s(self) -> float:
        return self.budget_s - (time.monotonic() - self.begun_s)

    def check(self, name: str, look: Callable[[], tuple[State, str]]) -> None:
        """Record what a check finds; an exception fails it, and the next ones still run."""
        begin = time.monotonic()
        state: State
        if self.left_s < 10:
            state, found = "skipped", "no time left"
        else:
            try:
                state, found = look()
            except Exception as error:
                state, found = "failed", f"{type(error).__name__}: {error}"
        self.checks.append(Check(name, state, found, round(time.monotonic() - begin, 1)))
        print(f"{state:8} {name:42} {self.checks[-1].seconds:6.1f} s  {found[:200]}", flush=True)

    def harness(self, label: str, *words: str, **environment: str) -> str:
        """Run a command of harness and return its output; RuntimeError on an unexpected exit."""
        done = self._start(label, words, environment)
        if done.returncode not in (0, 1, 6):
            last = (done.stderr or done.stdout).strip().splitlines()[-3:]
            raise RuntimeError(f"exit code {done.returncode}: {' '.join(last)}")
        return done.stdout

    def _start(
        self, label: str, words: tuple[str, ...], environment: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "harness", *words]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=max(self.left_s, 1),
            env={**os.environ, **environment}, check=False,
        )  # fmt: skip
        (self.out / f"{label}.out").write_text(done.stdout, encoding="utf-8")
        (self.out / f"{label}.err").write_text(done.stderr, encoding="utf-8")
        return done


def run_checks(smoke: Smoke) -> None:
    """Run all checks in order, the cheap and most telling ones first."""
    smoke.check("doctor", lambda: ("ok", _describe_doctor(smoke)))
    smoke.check("plan", lambda: _check_plan(smoke))
    for number in range(1, AA_RUNS + 1):
        smoke.check(f"baseline against itself, {number}", partial(_check_aa, smoke, number))
    smoke.check("run of all cells", lambda: _run_cells(smoke))
    run = _newest_run(smoke.out / "cells")
    for cell in run.candidates if run else ():
        smoke.check(f"cell {cell.id}", partial(check_cell, cell))
    smoke.check("profile and explain", lambda: _profile(smoke))
    smoke.check("foreign process is refused", lambda: _check_foreign(smoke))
    smoke.check("card by its UUID", lambda: _check_uuid(smoke))


def _describe_doctor(smoke: Smoke) -> str:
    machine = json.loads(smoke.harness("doctor", "doctor", "--json"))
    shown = json.dumps(machine)
    return f"{len(shown)} characters, {shown.count('absent')} values absent"


def _check_plan(smoke: Smoke) -> tuple[State, str]:
    decided = json.loads(smoke.harness("plan", "plan", str(smoke.matrix), "--json"))
    skipped = [cell["cell"]["id"] for cell in decided["cells"] if cell["skip"]]
    found = f"{len(decided['cells'])} cells, skipped: {', '.join(skipped) or 'none'}"
    return ("failed" if skipped else "ok"), found


def _check_aa(smoke: Smoke, number: int) -> tuple[State, str]:
    """Time the baseline against itself; the speedup's interval should contain 1."""
    results = smoke.out / f"aa-{number}"
    baseline = json.loads((smoke.out / "plan.out").read_text(encoding="utf-8"))["baseline_id"]
    words = ("run", str(smoke.matrix), "--select", baseline, "--results", str(results))
    smoke.harness(f"aa-{number}", *words)
    run = _newest_run(results)
    speedup = run.cell(RERUN_ID).speedup if run else Absent(absent="no run")
    if isinstance(speedup, Absent):
        return "failed", speedup.absent
    state: State = "ok" if speedup.low <= 1 <= speedup.high else "failed"
    return state, f"speedup {speedup.estimate:.4f} [{speedup.low:.4f}, {speedup.high:.4f}]"


def _run_cells(smoke: Smoke) -> tuple[State, str]:
    words = ("run", str(smoke.matrix), "--results", str(smoke.out / "cells"))
    done = smoke._start("cells", words, {})
    state: State = "ok" if done.returncode == 0 else "failed"
    return state, f"exit code {done.returncode}"


def check_cell(cell: CellResult) -> tuple[State, str]:
    """Return a cell's speedup, memory and effects, or why it failed or was skipped."""
    outcome = cell.outcome
    if isinstance(outcome, Failed):
        return "failed", f"{outcome.kind} in {outcome.phase}: {outcome.message}"
    if not isinstance(outcome, Completed):
        return "skipped", cell.reason
    speedup, memory = cell.speedup, cell.peak_memory
    factor = speedup.absent if isinstance(speedup, Absent) else (
        f"{speedup.estimate:.3f}× [{speedup.low:.3f}, {speedup.high:.3f}]"
    )  # fmt: skip
    used = memory.absent if isinstance(memory, Absent) else f"{memory.count / 2**30:.1f} GiB"
    effects = "; ".join(done.summary for done in outcome.applied)
    warned = ", ".join(dict.fromkeys(warning.kind for warning in outcome.warnings))
    return (
        "ok",
        f"{factor}, {used}, {outcome.pairing.kind}; {effects}; warnings: {warned or 'none'}",
    )


def _profile(smoke: Smoke) -> tuple[State, str]:
    results = ("--results", str(smoke.out / "cells"))
    smoke.harness("profile", "profile", "latest", "baseline", *results)
    told = smoke.harness("explain", "explain", "latest", "baseline", *results)
    return "ok", f"{len(told.splitlines())} lines of explanation"


def _check_foreign(smoke: Smoke) -> tuple[State, str]:
    """Let another process hold memory of the card: a run must be refused."""
    import torch

    if not torch.cuda.is_available():
        return "skipped", "needs a GPU"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS_THE_CARD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            begin = time.monotonic()
            words = ("run", str(smoke.matrix), "--fresh", "--results", str(smoke.out / "foreign"))
            done = smoke._start("foreign", words, {})
            took_s = time.monotonic() - begin
        finally:
            other.kill()
    refused = done.returncode == 4 and took_s < REFUSED_WITHIN_S
    return ("ok" if refused else "failed"), f"exit code {done.returncode} after {took_s:.0f} s"


def _check_uuid(smoke: Smoke) -> tuple[State, str]:
    from harness.measure import nvml

    card = nvml.try_read(nvml.find_first_card)
    if isinstance(card, Absent):
        return "skipped", "needs a GPU"
    import pynvml

    uuid = nvml.read_text(pynvml.nvmlDeviceGetUUID(card))
    smoke.harness("doctor-uuid", "doctor", "--json", CUDA_VISIBLE_DEVICES=uuid)
    return "ok", uuid


def _newest_run(results: Path) -> Run | None:
    folders = sorted(results.glob("*/run.json")) if results.exists() else []
    return Run.load(folders[-1].parent) if folders else None


def drop_images(out: Path) -> None:
    """Delete the runs' images: they are noise here, and the device brings back few bytes."""
    for folder in list(_list_image_folders(out)):
        shutil.rmtree(folder)


def _list_image_folders(out: Path) -> Iterator[Path]:
    return (path for path in out.rglob("images") if path.is_dir())


def main(arguments: list[str] | None = None) -> int:
    """Run the checks and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--matrix", type=Path, default=Path("matrices/h200-smoke.toml"))
    parser.add_argument("--budget_s", type=float, default=540)
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    smoke = Smoke(given.out.resolve(), given.matrix.resolve(), given.budget_s)
    run_checks(smoke)
    drop_images(smoke.out)
    table = json.dumps([asdict(check) for check in smoke.checks], indent=1)
    (smoke.out / "smoke.json").write_text(table, encoding="utf-8")
    return int(any(check.state == "failed" for check in smoke.checks))


if __name__ == "__main__":
    sys.exit(main())
