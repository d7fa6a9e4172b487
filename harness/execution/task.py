"""What passes between the runner and the process of a cell: task, progress, commands, failures."""

import errno
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from harness.axes import call_options, resolve_setting
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


class Task(Frozen):
    """One cell to measure, complete in itself."""

    planned: PlannedCell
    model: Model
    model_digest: str
    """Of the model's files when the plan was made."""
    measure: Measure
    prompts: tuple[Prompt, ...]
    """What the cell is set up and timed with: in every round of an adaptive run the same."""
    pictured: tuple[Prompt, ...]
    """The prompts whose images are made."""
    timed: bool = True
    """False in later rounds, which only add images."""
    seeds: tuple[int, ...]
    latent: Latent | None = None
    """What every image starts from; None: each from noise of its own."""
    device: str
    cores: int
    uses_torch: bool = True
    shapes: tuple[Shape, ...] = ()
    """Of the timed calls of all ready cells of the plan that have this cell's build, its own among them."""
    folder: Path
    """The cell's folder: the worker writes images, traces and its log there, the runner the outcome."""


class WorkerProgress(NamedTuple):
    """Progress of a worker: the phase it is in, how much of it is done, and what else there is to say."""

    phase: Phase
    done: int = 0
    total: int = 0
    note: str = ""


def make_task(
    plan: Plan, planned: PlannedCell, folder: Path, pictured: tuple[Prompt, ...] = (), timed: bool = True
) -> Task:
    """Return the task of measuring a planned cell and making images of these prompts, or only its images."""
    return Task(
        planned=planned,
        model=plan.matrix.model,
        model_digest=plan.model.digest,
        measure=plan.matrix.measure,
        prompts=plan.get_prompts(planned)[: plan.prompt_counts(planned)[0]],
        pictured=pictured,
        timed=timed,
        seeds=plan.get_seeds(planned),
        latent=plan.get_latent(planned),
        device=plan.machine.device,
        cores=plan.machine.cpu_cores,
        uses_torch=plan.model.uses_torch,
        shapes=_shapes(plan, planned),
        folder=folder,
    )


def _shapes(plan: Plan, planned: PlannedCell) -> tuple[Shape, ...]:
    """Return each shape once, sorted: cells that can share what is built must ask for the same."""
    ready = (other.cell for other in plan.cells if other.skip is None)
    alike = (cell for cell in ready if cell.build_key == planned.cell.build_key)
    asked = (call_options(resolve_setting(setting) for setting in cell.settings) for cell in alike)
    return tuple(sorted({_shape(options) for options in asked}))


def _shape(options: dict[str, float]) -> Shape:
    width, height, images = (int(options[name]) for name in ("width", "height", "batch"))
    return Shape(width, height, options["guidance"], images)


def call_for(call: Call, pairs: Sequence[tuple[Prompt, int]]) -> Call:
    """Return a cell's call for the image of each (prompt, seed)."""
    images = {
        "prompts": tuple(prompt.text for prompt, _ in pairs),
        "keys": tuple((prompt.id, seed) for prompt, seed in pairs),
        "negatives": tuple(prompt.negative for prompt, _ in pairs if prompt.negative is not None),
    }
    return call.model_copy(update=images)


Notify = Callable[[WorkerProgress], None]


class PhaseTimer:
    """Seconds by phase, and the phase it is in (for the outcome of a cell that fails)."""

    def __init__(self, notify: Notify) -> None:
        self.notify = notify
        self.phase: Phase = "start"
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure_phase(self, phase: Phase) -> Iterator[None]:
        """Count the time inside as this phase's, also where it ends in an error."""
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
    """A worker that broke and will work no more: how it ended."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.message)
        self.failed = failed


class BaselineWorkerLost(Exception):
    """The baseline's process broke, and is not started once more for this cell; `crowded`: for want of memory."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(f"the baseline's process broke ({failed.kind} in {failed.phase}): {failed.message}")
        self.crowded = is_crowded(failed)


def is_crowded(failed: Failed) -> bool:
    """Whether what failed may do with the device to itself: memory ran out, or it takes one process at a time."""
    return failed.kind == "out-of-memory" or "busy or unavailable" in failed.message


class Worker(Protocol):
    """One cell, ready to do as it is told; between two commands it does nothing. Each command raises Broken."""

    pid: int

    def prepare(self) -> tuple[float, ...]:
        """Load, apply, compile and warm up: the first command. Return the seconds of each warm-up call."""

    def block(self, calls: int) -> tuple[Repeat, ...]:
        """Return this many timed calls, one right after the other."""

    def rest(self) -> None:
        """Give back the memory that is kept for the next call."""

    def finish(self) -> Completed | Extended:
        """Return the cell's outcome, but for what the one who asked for its blocks knows: they themselves."""

    def trace(self) -> Trace | Absent:
        """Trace one call."""

    def close(self) -> None:
        """End it, whatever it is doing."""


class Launcher(Protocol):
    """Starts workers, as many at a time as are wanted."""

    def prepare(self) -> None:
        """Do once what all workers need, before anything is timed."""

    def open(self, task: Task, notify: Notify) -> Worker:
        """Start a worker for this task, which tells its progress while it obeys."""

    def close(self) -> None:
        """Give back what the launcher holds."""


class BadImage(Exception):
    """The pipeline made pictures that are no pictures: not finite, or all of one colour."""


HINTS: dict[FailureKind, str] = {
    "out-of-memory": "Use a smaller batch or resolution, a smaller precision, or set measure.image_batch.",
    "timeout": "Raise measure.timeout_s, or measure fewer prompts.",
    "crash": "The process died inside native code: see the log; try the cell alone with --select.",
    "bad-image": "The settings of this cell destroy the image: often fp16 overflow in the VAE, or a wrong scheduler.",
    "no-effect": "This setting does nothing for this model here: leave it out, or change its options.",
    "disk-full": "Free some space and run the same command again.",
}


def describe_exception(error: BaseException, phase: Phase, log: str) -> Failed:
    """Return the outcome for an exception raised inside a cell."""
    kind = _kind(error)
    message = str(error).strip() or type(error).__name__
    hint = error.fix if isinstance(error, HarnessError) and error.fix else HINTS.get(kind, "See the log of this cell.")
    if not isinstance(error, HarnessError | BadImage):
        message = f"{type(error).__name__}: {message}"
    return Failed(kind=kind, phase=phase, message=message[:2000], hint=hint, log=log)


def describe_death(exit_code: int | None, phase: Phase, log: str) -> Failed:
    """Return the outcome for a worker that died without a word."""
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        if name == "SIGKILL":
            message = "the process was killed (SIGKILL), most likely by the system for using too much memory"
            return Failed(kind="out-of-memory", phase=phase, message=message, hint=HINTS["out-of-memory"], log=log)
        return Failed(kind="crash", phase=phase, message=f"the process died of {name}", hint=HINTS["crash"], log=log)
    message = f"the process ended without a result (exit status {exit_code})"
    return Failed(kind="crash", phase=phase, message=message, hint=HINTS["crash"], log=log)


def describe_timeout(limit_s: float, phase: Phase, log: str) -> Failed:
    """Return the outcome for a cell that took longer than it may."""
    message = f"not done after {limit_s:g} s"
    return Failed(kind="timeout", phase=phase, message=message, hint=HINTS["timeout"], log=log)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, of the process or of a device, whichever library says so."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or "out of memory" in str(error)


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
