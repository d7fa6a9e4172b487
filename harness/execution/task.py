"""The interface between the runner and a cell's process: task, progress, commands, failures."""

import errno
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from harness.axes import collect_call_options, resolve_setting
from harness.core.axis import Shape
from harness.core.base import Frozen
from harness.core.errors import HarnessError, NoEffect
from harness.core.matrix import Measure, Model
from harness.core.model import Call
from harness.core.outcome import Completed, Extended, Failed, FailureKind, Phase
from harness.core.plan import Latent, Plan, PlannedCell, Prompt
from harness.core.timing import Repeat
from harness.core.trace import Trace
from harness.core.units import Absent
from harness.models import QUANTIZERS
from harness.process_memory import is_out_of_memory


class Task(Frozen):
    """Everything that a worker needs to measure one cell."""

    planned: PlannedCell
    model: Model
    model_digest: str
    """Digest of the model's files in the plan."""
    measure: Measure
    prompts: tuple[Prompt, ...]
    """Prompts for set-up and timing: the same at every interim analysis."""
    image_prompts: tuple[Prompt, ...]
    """The prompts to generate images of."""
    timed: bool = True
    """False at later interim analyses, which only add images."""
    seeds: tuple[int, ...]
    latent: Latent | None = None
    """The noise of every image; None: noise that depends on (prompt, seed)."""
    device: str
    cores: int
    uses_torch: bool = True
    uses_quantizers: bool = False
    """Whether it imports torchao or bitsandbytes, which call CUDA while they are imported."""
    shapes: tuple[Shape, ...] = ()
    """Shapes of the timed calls of all cells that share this cell's build."""
    folder: Path
    """The cell's folder: the worker writes images, traces and log, the runner the outcome."""


class WorkerProgress(NamedTuple):
    """Progress of a worker: its phase, how much of it is done, and a note."""

    phase: Phase
    done: int = 0
    total: int = 0
    note: str = ""


def make_task(
    plan: Plan,
    planned: PlannedCell,
    folder: Path,
    image_prompts: tuple[Prompt, ...] = (),
    timed: bool = True,
) -> Task:
    """Return the task to time a cell and generate its images, or only to generate images."""
    return Task(
        planned=planned,
        model=plan.matrix.model,
        model_digest=plan.model.digest,
        measure=plan.matrix.measure,
        prompts=plan.get_prompts(planned)[: plan.prompt_counts(planned)[0]],
        image_prompts=image_prompts,
        timed=timed,
        seeds=plan.get_seeds(planned),
        latent=plan.get_latent(planned),
        device=plan.machine.device,
        cores=plan.machine.cpu_cores,
        uses_torch=plan.model.uses_torch,
        uses_quantizers="packed" in plan.model.tags or _needs_quantizers(planned),
        shapes=_shapes(plan, planned),
        folder=folder,
    )


def _needs_quantizers(planned: PlannedCell) -> bool:
    values = (resolve_setting(setting) for setting in planned.cell.settings)
    return any(getattr(value, "package", "") in QUANTIZERS for value in values)


def _shapes(plan: Plan, planned: PlannedCell) -> tuple[Shape, ...]:
    """Return distinct shapes, sorted: cells that share a build must request the same shapes."""
    ready = (other.cell for other in plan.cells if other.skip is None)
    alike = (cell for cell in ready if cell.build_key == planned.cell.build_key)
    shapes = set()
    for cell in alike:
        options = collect_call_options(resolve_setting(setting) for setting in cell.settings)
        width, height, images = (int(options[name]) for name in ("width", "height", "batch"))
        shapes.add(Shape(width, height, options["guidance"], images))
    return tuple(sorted(shapes))


def make_call(call: Call, pairs: Sequence[tuple[Prompt, int]]) -> Call:
    """Return a call that generates the image of each (prompt, seed)."""
    images = {
        "prompts": tuple(prompt.text for prompt, _ in pairs),
        "keys": tuple((prompt.id, seed) for prompt, seed in pairs),
        "negatives": tuple(prompt.negative for prompt, _ in pairs if prompt.negative is not None),
    }
    return call.model_copy(update=images)


Notify = Callable[[WorkerProgress], None]


class PhaseTimer:
    """Measures the wall time of each phase; a failure is recorded with the current phase."""

    def __init__(self, notify: Notify) -> None:
        self.notify = notify
        self.phase: Phase = "start"
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure_phase(self, phase: Phase) -> Iterator[None]:
        """Add the time of the block to a phase, even if it raises."""
        self.phase = phase
        self.notify(WorkerProgress(phase))
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - begin

    def advance(self, done: int, total: int) -> None:
        self.notify(WorkerProgress(self.phase, done, total))


class Broken(Exception):
    """A worker failed and cannot continue."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.message)
        self.failed = failed


class BaselineWorkerLost(Exception):
    """The baseline's process failed for good; `crowded`: because memory ran out."""

    def __init__(self, failed: Failed) -> None:
        what = f"the baseline's process failed ({failed.kind} in {failed.phase})"
        super().__init__(f"{what}: {failed.message}")
        self.crowded = is_crowded(failed)


def is_crowded(failed: Failed) -> bool:
    """Return whether a failed process may succeed alone on the device."""
    return failed.kind == "out-of-memory" or "busy or unavailable" in failed.message


class Worker(Protocol):
    """A cell's process, idle between two commands; each command may raise Broken."""

    pid: int

    def prepare(self) -> tuple[float, ...]:
        """Load, apply, compile and warm up; return the seconds of each warm-up call."""

    def block(self, calls: int) -> tuple[Repeat, ...]:
        """Return this many consecutive timed calls."""

    def rest(self) -> None:
        """Release memory that is cached for the next call."""

    def finish(self) -> Completed | Extended:
        """Return the cell's outcome without the timed blocks, which the caller has."""

    def trace(self) -> Trace | Absent:
        """Trace one call."""

    def close(self) -> None:
        """End the process, even during a command."""


class Launcher(Protocol):
    """Starts workers; several may exist at a time."""

    separate: bool
    """Whether each worker is a process, so that several may be alive at a time."""

    def prepare(self) -> None:
        """Prepare what all workers need, before anything is timed."""

    def open(self, task: Task, notify: Notify) -> Worker:
        """Start a worker that reports its progress."""

    def close(self) -> None:
        """Release the launcher's resources."""


class BadImage(Exception):
    """The pipeline generated invalid images: not finite, or all of one colour."""


HINTS: dict[FailureKind, str] = {
    "out-of-memory": "Use a smaller batch, resolution or precision, or set measure.image_batch.",
    "timeout": "Raise measure.timeout_s, or measure fewer prompts.",
    "crash": "The process died inside native code: see the log; try the cell alone with --select.",
    "bad-image": "These settings destroy images: often fp16 overflow in the VAE, or the scheduler.",
    "no-effect": "This setting has no effect on this model: leave it out, or change its options.",
    "disk-full": "Free some space and run the same command again.",
}


def describe_exception(error: BaseException, phase: Phase, log: str) -> Failed:
    """Return the failure for an exception inside a cell."""
    kind = _kind(error)
    message = str(error).strip() or type(error).__name__
    fix = error.fix if isinstance(error, HarnessError) else ""
    hint = fix or HINTS.get(kind, "See the log of this cell.")
    if not isinstance(error, HarnessError | BadImage):
        message = f"{type(error).__name__}: {message}"
    return Failed(kind=kind, phase=phase, message=message[:2000], hint=hint, log=log)


def describe_death(exit_code: int | None, phase: Phase, log: str) -> Failed:
    """Return the failure for a worker that died without a report."""
    kind: FailureKind = "crash"
    if exit_code == -signal.SIGKILL:
        kind = "out-of-memory"
        message = "the process was killed (SIGKILL), probably by the system for its memory use"
    elif exit_code is not None and exit_code < 0:
        message = f"the process died of {signal.Signals(-exit_code).name}"
    else:
        message = f"the process ended without a result (exit status {exit_code})"
    return Failed(kind=kind, phase=phase, message=message, hint=HINTS[kind], log=log)


def describe_timeout(limit_s: float, phase: Phase, log: str) -> Failed:
    """Return the failure for a command that took longer than the limit."""
    message = f"not done after {limit_s:g} s"
    return Failed(kind="timeout", phase=phase, message=message, hint=HINTS["timeout"], log=log)


def _kind(error: BaseException) -> FailureKind:
    if isinstance(error, BadImage):
        return "bad-image"
    if isinstance(error, NoEffect):
        return "no-effect"
    if is_out_of_memory(error):
        return "out-of-memory"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "disk-full"
    return "error"
