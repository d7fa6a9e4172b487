"""Measure one cell: load → apply → compile → warm up → repeats → images, every phase timed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from harness.core.axis import Setup
from harness.core.model import Call, TextToImage
from harness.core.outcome import Applied, ColdStart, Completed, Extended, Memory, Phase
from harness.core.timing import Repeat, alone
from harness.core.trace import Trace
from harness.core.units import Absent
from harness.execution.build import Built, Recipe, apply_values, load_model, read_recipe
from harness.execution.cautions import timing_cautions
from harness.execution.pictures import Pictures, make_pictures
from harness.execution.task import Step, Task
from harness.execution.timing import count_denoiser_calls, stage_call, take_repeats, time_call
from harness.measure.memory import peaks_of
from harness.store.layout import TRACE, build_cache_dir

Tell = Callable[[Step], None]

UNTIMED = Absent(absent="nothing was timed")


class Ledger:
    """Where a cell's wall time goes, and the phase it is in (for the outcome of a cell that fails)."""

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self.phase: Phase = "start"
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase_of(self, phase: Phase) -> Iterator[None]:
        self.phase = phase
        self.tell(Step(phase))
        begin = time.perf_counter()
        yield
        self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - begin

    def advance(self, done: int, total: int) -> None:
        self.tell(Step(self.phase, done, total))


class Timing(NamedTuple):
    """What the timed calls of a cell gave."""

    cold_start: ColdStart
    warmup_s: tuple[float, ...]
    repeats: tuple[Repeat, ...]
    applied: tuple[Applied, ...]


def measure_cell(task: Task, ledger: Ledger, start_s: float) -> Completed | Extended:
    """Return the completed outcome of a task; raises whatever the model raises, with `ledger.phase` set.

    A later round of an adaptive run (`task.timed` false) only makes its images. `start_s` is what it took to start
    this process.
    """
    recipe = read_recipe(task.planned.cell)
    ledger.seconds["start"] = start_s
    begin = time.perf_counter() - start_s
    with ledger.phase_of("load"):
        _set_threads(task)
        model = load_model(task, recipe)
    with ledger.phase_of("apply"):
        setup = Setup(recipe.call(task.prompts, task.seeds), recipe.batch, build_cache_dir(), task.shapes)
        built = apply_values(model, recipe, setup)
    call = recipe.call()
    if not task.timed:
        made = _images(model, task, call, ledger, _lanes(task, recipe))
        return Extended(images=made.images, phases_s=dict(ledger.seconds))
    batch = built.batch(recipe.batch)
    timed_call = stage_call(task.prompts, call, batch, task.seeds[0])
    take_time = _compile_and_time if recipe.lazy else _time
    timing = take_time(built, task, timed_call, ledger, begin)
    memory = _memory(model, timed_call, ledger)
    made = _images(model, task, call, ledger, _lanes(task, recipe))
    trace = _trace(model, task, timed_call, ledger)
    with ledger.phase_of("floor"):  # last: its matrices would count as the cell's memory
        floor = built.arithmetic.floor(model.device, recipe.arithmetic) if timing.repeats else UNTIMED
    return Completed(
        cold_start=timing.cold_start,
        warmup_s=timing.warmup_s,
        pairing=alone(timing.repeats),
        batch=batch,
        images=made.images,
        denoiser_calls=count_denoiser_calls(timing.repeats),
        weights_bytes=model.weights_bytes(),
        memory=memory,
        floor=floor,
        threads=task.measure.threads or task.cores,
        phases_s=dict(ledger.seconds),
        applied=timing.applied,
        warnings=(*task.planned.cautions, *timing_cautions(timing.repeats, bool(timing.warmup_s)), *made.cautions),
        trace=trace,
    )


def _compile_and_time(built: Built, task: Task, call: Call, ledger: Ledger, begin: float) -> Timing:
    """Make a first call at the timed shape, with one step, that pays for the compilation; then time."""
    with ledger.phase_of("compile"):
        time_call(built.model, call.model_copy(update={"steps": 1}))
    return _time(built, task, call, ledger, begin)


def _time(built: Built, task: Task, call: Call, ledger: Ledger, begin: float) -> Timing:
    """Warm up and take the repeats; `begin` is the clock's reading when the process was asked for.

    The extra baseline runs are there for their images only: nothing of them is timed but the first call. Without
    warm-up the first repeat is the first call.
    """
    count = 3 if task.planned.role in ("baseline", "candidate") else 0
    ends: list[float] = []
    warmup_s = []
    with ledger.phase_of("warmup"):
        for _ in range(task.measure.warmup or int(not count)):
            with built.arithmetic.watching(built.model.parts()["denoiser"]):
                warmup_s.append(time_call(built.model, call))
            ends.append(time.perf_counter())
    repeats: tuple[Repeat, ...] = ()
    applied: tuple[Applied, ...] = ()
    if count:

        def advance(done: int) -> None:
            ends.append(time.perf_counter())
            ledger.advance(done, count)

        with ledger.phase_of("repeats"):
            built.start()
            repeats = take_repeats(built.model, call, count, advance)
            applied = built.report(count)
    cold_start = ColdStart(
        start_s=ledger.seconds["start"],
        load_s=ledger.seconds["load"],
        apply_s=ledger.seconds["apply"],
        compile_s=ledger.seconds.get("compile", 0.0),
        first_image_s=ends[0] - begin,
    )
    return Timing(cold_start, tuple(warmup_s), repeats, applied)


def _lanes(task: Task, recipe: Recipe) -> int:
    """Batches to make at a time: one per core on a CPU, but one where the model cannot be shared between threads."""
    if recipe.one_thread or task.device != "cpu" or not task.uses_torch:
        return 1
    return task.measure.threads or task.cores


def _images(model: TextToImage, task: Task, call: Call, ledger: Ledger, lanes: int) -> Pictures:
    total = len(task.pictured) * len(task.seeds)
    with ledger.phase_of("images"):
        return make_pictures(model, task, call, lanes, lambda done: ledger.advance(done, total))


def _memory(model: TextToImage, call: Call, ledger: Ledger) -> Memory:
    """Take the peaks of one call in a pass of its own, since asking for them takes time."""
    with ledger.phase_of("memory"):
        return peaks_of(lambda: model.generate(call), model.device)


def _set_threads(task: Task) -> None:
    if not task.uses_torch:
        return
    import torch

    torch.set_num_threads(task.measure.threads or task.cores)


def _trace(model: TextToImage, task: Task, call: Call, ledger: Ledger) -> Trace | Absent:
    """Trace in a pass of its own, so that the profiler disturbs no figure."""
    if not task.measure.trace or not task.uses_torch:
        return Absent(absent="not asked for: measure.trace = false")
    from harness.measure.profiler import write_trace

    with ledger.phase_of("trace"):
        steps = min(call.steps, 2)
        path = task.folder / TRACE
        write_trace(lambda: model.generate(call.model_copy(update={"steps": steps})), path)
    return Trace(path=TRACE, size_bytes=path.stat().st_size, steps=steps)
