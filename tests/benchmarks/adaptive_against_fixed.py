"""The quickstart with as many images as each verdict needs, against all of them for every cell.

python -m tests.benchmarks.adaptive_against_fixed [FIXED_RUN] [--quick] [--max N] [--results FOLDER]

Prints both verdicts of every cell side by side and the ratio of all images made, the baseline's and its two extra
runs' included. Without FIXED_RUN both are really run. With the folder of a finished quickstart run its images stand in
for those the adaptive run would make: an image depends on its cell, prompt and seed, not on the stage (batches of
another size move a pixel by a grey level at most). With --quick: two cells of the fake model instead of the quickstart.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness import api
from harness.core.outcome import Completed, Extended
from harness.core.timing import Repeat
from harness.core.units import Absent
from harness.execution import launchers
from harness.execution.task import Task, WorkerProgress
from harness.store import read_judgement, read_outcomes, read_plan
from harness.store.layout import RunFolder

MATRIX = Path(__file__).parents[2] / "matrices" / "quickstart.toml"

QUICK = """
name = "quick"
model = "fake"
axes.steps = [50, 4]
prompts.limit = 64
[quality]
rerun_prompts = 8
[measure]
min_s = 0
max_s = 0.2
"""


class Replayed:
    """A worker that takes images from a finished run instead of making them, and repeats one timed call of it."""

    def __init__(self, source: Path, task: Task) -> None:
        made = read_outcomes(source)[task.planned.id]
        if not isinstance(made, Completed):
            raise SystemExit(f"{task.planned.id} did not complete in {source}")
        self.pid, self.source, self.task, self.made = os.getpid(), source, task, made

    def prepare(self) -> tuple[float, ...]:
        return self.made.warmup_s

    def block(self, calls: int) -> tuple[Repeat, ...]:
        return self.made.repeats[:1] * calls

    def rest(self) -> None:
        """It holds nothing."""

    def finish(self) -> Completed | Extended:
        task = self.task
        wanted = {(prompt.id, seed) for prompt in task.image_prompts for seed in task.seeds}
        images = tuple(image for image in self.made.images if image.key in wanted)
        for image in images:
            os.link(RunFolder(self.source).cell(task.planned.id) / image.path, task.folder / image.path)
        return self.made.model_copy(update={"images": images}) if task.timed else Extended(images=images, phases_s={})

    def trace(self) -> Absent:
        return Absent(absent="nothing runs")

    def close(self) -> None:
        """Nothing is held."""


class Replay:
    """A launcher whose workers replay a finished run."""

    def __init__(self, source: Path) -> None:
        self.source = source

    def prepare(self) -> None:
        """Nothing is needed."""

    def open(self, task: Task, notify: Callable[[WorkerProgress], None]) -> Replayed:
        return Replayed(self.source, task)

    def close(self) -> None:
        """Nothing is held."""


def images_made(run: Path) -> int:
    """Return how many images all cells of a run have, with those of the two extra baseline runs."""
    return sum(len(outcome.images) for outcome in read_outcomes(run).values() if isinstance(outcome, Completed))


def verdicts(run: Path) -> dict[str, tuple[str, int]]:
    """Return cell id → its verdict and its images."""
    judgement, outcomes = read_judgement(run), read_outcomes(run)
    made = {cell_id: len(outcome.images) for cell_id, outcome in outcomes.items() if isinstance(outcome, Completed)}
    return {cell.cell_id: (cell.result, made[cell.cell_id]) for cell in judgement.cells} if judgement else {}


def main() -> None:
    parser = argparse.ArgumentParser(description="The quickstart's verdicts with fewer images.")
    parser.add_argument("fixed", type=Path, nargs="?")
    parser.add_argument("--max", type=int, default=256)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    results = options.results or Path(tempfile.mkdtemp())
    matrix = results / "fixed.toml"
    matrix.write_text(QUICK if options.quick else MATRIX.read_text(encoding="utf-8"), encoding="utf-8")
    fixed = options.fixed or api.bench(api.load(matrix), results=results / "fixed")
    if options.fixed:
        launchers.ProcessLauncher = lambda *_: Replay(fixed)  # type: ignore[assignment,misc]
    text = matrix.read_text(encoding="utf-8")
    matrix = results / "adaptive.toml"
    text = text.replace("[quality]\n", f'[quality]\nimages = "auto"\nmax = {64 if options.quick else options.max}\n')
    matrix.write_text(text, encoding="utf-8")
    # A folder of its own, so that no image of the fixed run is taken over.
    adaptive = api.open_run(api.load(matrix), results=results / "adaptive")
    api.run_until_decided(adaptive)
    compare(fixed, adaptive)


def compare(fixed: Path, adaptive: Path) -> None:
    """Print both runs' verdicts side by side and the ratio of their images."""
    whole, frugal = verdicts(fixed), verdicts(adaptive)
    print(f"looks at {', '.join(map(str, read_plan(adaptive).interim_analyses))} prompts")
    for cell_id, (result, count) in whole.items():
        other, fewer = frugal[cell_id]
        print(f"{cell_id:32} {result:>13} {count:5}   {other:>13} {fewer:5}   {'' if other == result else '≠'}")
    same = sum(frugal[cell_id][0] == result for cell_id, (result, _) in whole.items())
    made = images_made(fixed), images_made(adaptive)
    print(f"{same} of {len(whole)} verdicts the same; images: {made[0]} fixed, {made[1]} adaptive,", end=" ")
    print(f"ratio {made[1] / made[0]:.3f} (at most 0.5 wanted)")


if __name__ == "__main__":
    main()
