"""A cell's process: executes the commands prepare, block, finish and trace."""

import faulthandler
import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import nvtx

from harness.core.axis import Setup
from harness.core.model import Call, TextToImage
from harness.core.outcome import NO_MEMORY, ColdStart, Completed, Extended, Memory
from harness.core.timing import Repeat
from harness.core.trace import Trace, annotate_with
from harness.core.units import Absent
from harness.execution.build import (
    apply_values,
    check_adapters,
    check_model,
    load_model,
    read_recipe,
)
from harness.execution.images import MadeImages, generate_images
from harness.execution.task import PhaseTimer, Task, describe_exception, make_call
from harness.execution.trace import take_trace
from harness.measure.clock import PartCall, time_block, time_stages
from harness.measure.memory import measure_peaks, read_free_bytes, release_cached
from harness.store.caches import build_cache_dir
from harness.store.layout import LOG

UNTIMED = Absent(absent="nothing was timed")


class CellWork:
    """The commands of one cell; each raises what the model raises, with `timer.phase` set.

    `start_s` is the time that starting this process took. If the task is not timed, only `prepare`
    and `finish`, which generates the images, are called.
    """

    def __init__(self, task: Task, timer: PhaseTimer, start_s: float) -> None:
        annotate_with(nvtx)
        self.task, self.timer = task, timer
        self.recipe = read_recipe(task.planned.cell)
        self.warmup_s: tuple[float, ...] = ()
        self.calls = 0
        self.denoiser_calls = 0
        self.first_s = 0.0  # of the first timed call
        self.free_before = read_free_bytes(task.device)  # before this process uses any
        timer.seconds["start"] = start_s

    def prepare(self) -> tuple[float, ...]:
        """Load, apply, compile and warm up; return the seconds of each warm-up call.

        An untimed cell makes one call, to measure the first.
        """
        self.timer.phase = "load"
        check_model(self.task)  # not part of the load time
        check_adapters(self.task, self.recipe)
        with self.timer.measure_phase("load"):
            _set_threads(self.task)
            model = load_model(self.task, self.recipe)
        with self.timer.measure_phase("apply"):
            call = self.recipe.call(self.task.prompts, self.task.seeds)
            setup = Setup(call, self.recipe.batch, build_cache_dir(), self.task.shapes)
            self.built = apply_values(model, self.recipe, setup)
        if self.task.timed:
            self._warm_up()
        return self.warmup_s

    def block(self, calls: int) -> tuple[Repeat, ...]:
        """Return this many consecutive timed calls."""
        self.timer.phase = "repeats"
        if not self.calls:
            self.built.start()
        repeats = take_repeats(self.model, self.timed_call, calls)
        self.first_s = self.first_s or repeats[0].latency_s
        self.calls += calls
        self.denoiser_calls = len(repeats[-1].steps_s)
        return repeats

    def rest(self) -> None:
        """Release memory that torch caches for the next call: other processes need it."""
        release_cached(self.model.device)

    def finish(self) -> Completed | Extended:
        """Return everything but the timed calls: effects of values, memory, images, bounds."""
        phases_s = self.timer.seconds
        if not self.task.timed:
            made = self._images()
            return Extended(images=made.images, phases_s=phases_s, warnings=made.cautions)
        self.timer.phase = "repeats"
        applied = self.built.report(self.calls) if self.calls else ()
        memory = self._memory() if self.calls else NO_MEMORY
        made = self._images()
        with self.timer.measure_phase("roofline"):
            counter, dtype = self.built.arithmetic, self.recipe.arithmetic
            roofline = counter.roofline(self.model.device, dtype) if self.calls else UNTIMED
        return Completed(
            cold_start=self._cold_start(),
            warmup_s=self.warmup_s,
            batch=self.built.batch(self.recipe.batch),
            images=made.images,
            denoiser_calls=self.denoiser_calls,
            weights_bytes=self.model.weights_bytes(),
            memory=memory,
            roofline=roofline,
            threads=self.task.measure.threads or self.task.cores,
            phases_s=phases_s,
            applied=applied,
            warnings=(*self.task.planned.cautions, *made.cautions),
        )

    def trace(self) -> Trace | Absent:
        """Trace one call, separately, because the profiler slows it down."""
        self.timer.phase = "trace"
        return take_trace(self.model, self.timed_call, self.task.folder)

    @property
    def model(self) -> TextToImage:
        return self.built.model

    @property
    def timed_call(self) -> Call:
        """A call with the first prompts, repeated up to the batch size, and the first seed."""
        prompts, seed = self.task.prompts, self.task.seeds[0]
        places = [divmod(n, len(prompts)) for n in range(self.built.batch(self.recipe.batch))]
        return make_call(self.recipe.call(), [(prompts[n], seed + again) for again, n in places])

    def _warm_up(self) -> None:
        """Make the warm-up calls; a lazy compilation happens before, in a call of one step."""
        if self.recipe.lazy:
            with self.timer.measure_phase("compile"):
                time_call(self.model, self.timed_call.model_copy(update={"steps": 1}))
        with self.timer.measure_phase("warmup"):
            for _ in range(self.task.measure.warmup or int(not self.task.planned.timed)):
                with self.built.arithmetic.watching(self.model.parts()["denoiser"]):
                    self.warmup_s += (time_call(self.model, self.timed_call),)

    def _cold_start(self) -> ColdStart:
        seconds = self.timer.seconds
        return ColdStart(
            start_s=seconds["start"],
            load_s=seconds["load"],
            apply_s=seconds["apply"],
            compile_s=seconds.get("compile", 0.0),
            first_call_s=(*self.warmup_s, self.first_s)[0],  # without warm-up: the first timed one
        )

    def _memory(self) -> Memory:
        """Measure the peaks of one call, separately, because reading them takes time."""
        model, call = self.model, self.timed_call
        with self.timer.measure_phase("memory"):
            found = measure_peaks(lambda: model.generate(call), model.device, self.free_before)
        unseen = next(filter(None, (v.unseen_memory() for v in self.recipe.values)), "")
        if isinstance(found.allocated_bytes, Absent) or not unseen:
            return found
        return found.model_copy(update={"allocated_bytes": Absent(absent=unseen)})

    def _images(self) -> MadeImages:
        total = len(self.task.image_prompts) * len(self.task.seeds)
        if not total:
            return MadeImages((), ())
        call, lanes = self.recipe.call(), self._lanes()
        with self.timer.measure_phase("images"):
            advance = partial(self.timer.advance, total=total)
            return generate_images(self.model, self.task, call, lanes, advance)

    def _lanes(self) -> int:
        """Return the number of concurrent batches: on a CPU one per core, if possible."""
        task = self.task
        if self.recipe.one_thread or task.device != "cpu" or not task.uses_torch:
            return 1
        return task.measure.threads or task.cores


def _set_threads(task: Task) -> None:
    if not task.uses_torch:
        return
    import torch

    torch.set_num_threads(task.measure.threads or task.cores)


def time_call(model: TextToImage, call: Call) -> float:
    """Return the wall seconds of one call."""
    with time_block(model.device) as watch:
        model.generate(call)
    return watch.seconds


def take_repeats(model: TextToImage, call: Call, count: int) -> tuple[Repeat, ...]:
    """Return `count` timed calls with the time of each stage and each step."""
    return tuple(_take_repeat(model, call) for _ in range(count))


def _take_repeat(model: TextToImage, call: Call) -> Repeat:
    with time_stages(model.parts(), model.device) as clock, time_block(model.device) as watch:
        model.generate(call)
    calls = clock.calls()
    return Repeat(
        latency_s=watch.seconds,
        device_s=watch.device_s,
        stages_s=_by_role(calls, watch.seconds),
        steps_s=tuple(part.seconds for part in calls if part.role == "denoiser"),
    )


def _by_role(calls: list[PartCall], total_s: float) -> dict[str, float]:
    """Return seconds by role, and `other`: scheduler, tokenizer, post-processing, Python."""
    sums: dict[str, float] = {}
    for part in calls:
        sums[part.role] = sums.get(part.role, 0.0) + part.seconds
    return {**sums, "other": max(0.0, total_s - sum(sums.values()))}


class Reply(NamedTuple):
    """The answer to a command."""

    answer: Any


def serve_commands(task_json: str, pipe: Connection, asked_at: float, late: str) -> None:
    """Execute commands from the pipe: methods of CellWork with arguments. Output goes to the log.

    It waits for the pipe between two commands, without processor time. After an error it sends
    Failed and ends. `asked_at` is 0 for a process that first had to import libraries, which no cold
    start includes; `late` is what it still has to import.
    """
    start_s = time.time() - asked_at if asked_at else 0.0
    task = Task.model_validate_json(task_json)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this one
    _die_with(os.getppid())
    # Later processes of the cell append to the log.
    log = (task.folder / LOG).open("a", buffering=1, encoding="utf-8", errors="replace")
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    sys.stdout = sys.stderr = log
    faulthandler.enable(log)
    timer = PhaseTimer(pipe.send)
    try:
        if late:
            importlib.import_module(late)
        work = CellWork(task, timer, start_s)
        for command, arguments in iter(partial(_next, pipe), None):
            pipe.send(Reply(command(work, *arguments)))
    except BaseException as error:
        traceback.print_exc()
        pipe.send(describe_exception(error, timer.phase, read_log_tail(task.folder / LOG)))
    os._exit(0)  # skip torch's slow teardown: everything is delivered


def _next(pipe: Connection) -> tuple[Callable[..., Any], tuple[object, ...]] | None:
    """Return the next command and its arguments, None if the pipe is closed."""
    try:
        return pipe.recv()
    except (EOFError, OSError):
        return None


def _die_with(parent: int) -> None:
    """End this process when the server is gone, as after kill -9 of the harness."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def read_log_tail(log: Path, characters: int = 4000) -> str:
    """Return the end of a worker's log."""
    try:
        lines = log.read_text(errors="replace", encoding="utf-8").splitlines(keepends=True)
    except OSError:
        return ""
    # faulthandler ends with a long list of all extension modules, which explains nothing.
    kept = (line for line in lines if not line.startswith("Extension modules:"))
    return "".join(kept)[-characters:]
