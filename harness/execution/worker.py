"""What one cell's process does, command by command: prepare → blocks of timed calls → finish → trace."""

import gc

from harness.core.axis import Setup
from harness.core.model import Call, TextToImage
from harness.core.outcome import NO_MEMORY, ColdStart, Completed, Extended, Memory
from harness.core.timing import Repeat
from harness.core.trace import Trace
from harness.core.units import Absent
from harness.execution.build import apply_values, check_model, load_model, read_recipe
from harness.execution.ledger import Ledger
from harness.execution.pictures import Pictures, make_pictures
from harness.execution.task import Task
from harness.execution.timing import stage_call, take_repeats, time_call
from harness.execution.tracing import take_trace
from harness.measure.memory import free_bytes, peaks_of
from harness.store.caches import build_cache_dir

UNTIMED = Absent(absent="nothing was timed")


class CellWork:
    """One cell at work; every method raises whatever the model raises, with `ledger.phase` set.

    `start_s` is what it took to start this process. Of a later round of an adaptive run (`task.timed` false) there are
    only `prepare` and `finish`, which makes its images.
    """

    def __init__(self, task: Task, ledger: Ledger, start_s: float) -> None:
        self.task, self.ledger = task, ledger
        self.recipe = read_recipe(task.planned.cell)
        self.warmup_s: tuple[float, ...] = ()
        self.calls = 0
        self.denoiser_calls = 0
        self.first_s = 0.0  # of the first call that was timed
        self.free_before = free_bytes(task.device)  # what is gone at the end, this process holds
        ledger.seconds["start"] = start_s

    def prepare(self) -> tuple[float, ...]:
        """Load, apply, compile and warm up; return the seconds of each warm-up call.

        A cell that is not timed makes one call all the same, the first one.
        """
        self.ledger.phase = "load"
        check_model(self.task)  # not counted: it is no part of loading
        with self.ledger.phase_of("load"):
            _set_threads(self.task)
            model = load_model(self.task, self.recipe)
        with self.ledger.phase_of("apply"):
            call = self.recipe.call(self.task.prompts, self.task.seeds)
            setup = Setup(call, self.recipe.batch, build_cache_dir(), self.task.shapes)
            self.built = apply_values(model, self.recipe, setup)
        if self.task.timed:
            self._warm_up()
        return self.warmup_s

    def block(self, calls: int) -> tuple[Repeat, ...]:
        """Return this many timed calls, one right after the other."""
        self.ledger.phase = "repeats"
        if not self.calls:
            self.built.start()
        repeats = take_repeats(self.model, self.timed_call, calls)
        self.first_s = self.first_s or repeats[0].latency_s
        self.calls += calls
        self.denoiser_calls = len(repeats[-1].steps_s)
        return repeats

    def rest(self) -> None:
        """Give back the memory that is kept for the next call: others need it meanwhile."""
        if self.model.device.startswith("cuda"):
            import torch

            gc.collect()
            torch.cuda.empty_cache()

    def finish(self) -> Completed | Extended:
        """Return what the timed calls do not tell: what each value did, memory, images, the floor."""
        if not self.task.timed:
            made = self._pictures()
            return Extended(images=made.images, phases_s=dict(self.ledger.seconds), warnings=made.cautions)
        self.ledger.phase = "repeats"
        applied = self.built.report(self.calls) if self.calls else ()
        memory = self._memory() if self.calls else NO_MEMORY
        made = self._pictures()
        with self.ledger.phase_of("floor"):
            arithmetic = self.recipe.arithmetic
            floor = self.built.arithmetic.floor(self.model.device, arithmetic) if self.calls else UNTIMED
        return Completed(
            cold_start=self._cold_start(),
            warmup_s=self.warmup_s,
            batch=self.built.batch(self.recipe.batch),
            images=made.images,
            denoiser_calls=self.denoiser_calls,
            weights_bytes=self.model.weights_bytes(),
            memory=memory,
            floor=floor,
            threads=self.task.measure.threads or self.task.cores,
            phases_s=dict(self.ledger.seconds),
            applied=applied,
            warnings=(*self.task.planned.cautions, *made.cautions),
        )

    def trace(self) -> Trace | Absent:
        """Trace one call in a pass of its own, so that the profiler disturbs no figure."""
        self.ledger.phase = "trace"
        return take_trace(self.model, self.timed_call, self.task.folder)

    @property
    def model(self) -> TextToImage:
        return self.built.model

    @property
    def timed_call(self) -> Call:
        """The call of the first prompts and the first seed, at the cell's batch size."""
        batch = self.built.batch(self.recipe.batch)
        return stage_call(self.task.prompts, self.recipe.call(), batch, self.task.seeds[0])

    def _warm_up(self) -> None:
        """Make the calls that are not counted; before them, with one step, one that pays for a compilation."""
        if self.recipe.lazy:
            with self.ledger.phase_of("compile"):
                time_call(self.model, self.timed_call.model_copy(update={"steps": 1}))
        with self.ledger.phase_of("warmup"):
            for _ in range(self.task.measure.warmup or int(not self.task.planned.timed)):
                with self.built.arithmetic.watching(self.model.parts()["denoiser"]):
                    self.warmup_s += (time_call(self.model, self.timed_call),)

    def _cold_start(self) -> ColdStart:
        """Without warm-up the first timed call is the first call."""
        seconds = self.ledger.seconds
        return ColdStart(
            start_s=seconds["start"],
            load_s=seconds["load"],
            apply_s=seconds["apply"],
            compile_s=seconds.get("compile", 0.0),
            first_call_s=(*self.warmup_s, self.first_s)[0],
        )

    def _memory(self) -> Memory:
        """Take the peaks of one call in a pass of its own, since asking for them takes time."""
        with self.ledger.phase_of("memory"):
            return peaks_of(lambda: self.model.generate(self.timed_call), self.model.device, self.free_before)

    def _pictures(self) -> Pictures:
        total = len(self.task.pictured) * len(self.task.seeds)
        if not total:
            return Pictures((), ())
        with self.ledger.phase_of("images"):
            return make_pictures(
                self.model, self.task, self.recipe.call(), self._lanes(), lambda n: self.ledger.advance(n, total)
            )

    def _lanes(self) -> int:
        """Batches to make at a time: one per core on a CPU, one where threads cannot share the model."""
        task = self.task
        if self.recipe.one_thread or task.device != "cpu" or not task.uses_torch:
            return 1
        return task.measure.threads or task.cores


def _set_threads(task: Task) -> None:
    if not task.uses_torch:
        return
    import torch

    torch.set_num_threads(task.measure.threads or task.cores)
