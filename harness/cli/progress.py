"""Progress of a run: a bar over all cells by estimated time, a bar for the current cell."""

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from harness.core.outcome import Completed, Failed, Outcome
from harness.core.plan import PlannedCell
from harness.core.units import format_seconds
from harness.execution.task import WorkerProgress


def progress_bar(console: Console) -> Progress:
    """Return bars with elapsed time and time left; on a pipe, nothing but the lines printed between
    them."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def transfer_bar(console: Console) -> Progress:
    """Return bars with bytes, speed and time left; nothing on a pipe."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


class RunProgress:
    """Draws the progress of a runner."""

    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self.cell = bars.add_task("", total=None)
        self.console = bars.console

    def cell_began(self, planned: PlannedCell) -> None:
        self.bars.reset(self.cell, description=planned.id, total=None)

    def cell_advanced(self, planned: PlannedCell, step: WorkerProgress) -> None:
        done = {"completed": step.done, "total": step.total} if step.total else {}
        doing = f"{step.phase}, {step.note}" if step.note else step.phase
        self.bars.update(self.cell, description=f"{planned.id}: {doing}", **done)  # type: ignore[arg-type]

    def cell_ended(self, planned: PlannedCell, outcome: Outcome, wall_s: float) -> None:
        took = format_seconds(wall_s)
        if isinstance(outcome, Completed):
            line = f"[green]done[/]     {planned.id}  [dim]{len(outcome.images)} images, {took}[/]"
            line += f" [dim](taken from {outcome.reused_from})[/]" if outcome.reused_from else ""
            line += (
                f" [red]halted: {outcome.halted.kind} in {outcome.halted.phase}[/]"
                if outcome.halted
                else ""
            )
        elif isinstance(outcome, Failed):
            line = (
                f"[red]failed[/]   {planned.id}  {outcome.kind} in {outcome.phase}  [dim]{took}[/]"
            )
        else:
            line = f"[yellow]skipped[/]  {planned.id}  {escape(outcome.reason)}"
        self.console.print(line, highlight=False)
