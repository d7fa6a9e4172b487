"""Human review on a terminal: a written page, added answers, what people preferred."""

from pathlib import Path
from typing import Any

from harness.cli import console
from harness.core.errors import ExitCode, NothingToDo, UsageError
from harness.core.units import Absent, plural
from harness.results import CellResult, Run
from harness.review import Wish, add_answers, write_review
from harness.review.text import write_page_lines, write_preference_lines

__all__ = ["Wish", "add", "show_run", "write"]


def write(folder: Path, cells: tuple[str, ...], wish: Wish, json: bool) -> None:
    """Write the page of one cell and print its path, with what it holds on stderr."""
    if len(cells) > 1:
        fix = "Name one cell per page; with --add these are files of answers."
        raise UsageError(f"{len(cells)} cells for one page", " ".join(cells), fix)
    written = write_review(folder, cells[0], wish)
    if json:
        pairs = [pair.kind for pair in written.key.pairs]
        counts = {kind: pairs.count(kind) for kind in ("pair", "identical", "control")}
        page = {"path": str(written.path), "page": written.key.page, "cell": written.key.cell_id}
        return console.show_json(page | {"encoding": written.key.encoding, "pairs": counts})
    for line in write_page_lines(written):
        console.show_notice(line)
    console.show_path(written.path)


def add(folder: Path, files: tuple[str, ...], json: bool) -> None:
    """Store answers and print what people preferred."""
    if not files:
        raise UsageError("no file of answers", "--add", "Name the files that raters saved.")
    added = add_answers(folder, [Path(file) for file in files])
    if not json:
        console.show_notice(f"added: {plural(len(added), 'set')} of answers")
    show_run(folder, json)


def show_run(folder: Path, json: bool) -> int:
    """Print what people preferred in every reviewed cell; return exit code 3 without answers."""
    run = Run.load(folder)
    reviewed = {review.key.cell_id for review in run.reviews}
    cells = [cell for cell in run.candidates if cell.id in reviewed]
    if not cells:
        fix = f"Make a page: harness review {folder.name} CELL"
        raise NothingToDo("no cell of this run was reviewed by people", str(folder), fix)
    if json:
        console.show_json([_to_json(cell) for cell in cells])
    else:
        for cell in cells:
            console.out.print(cell.id, style="bold", markup=False)
            for line in _write_lines(cell):
                console.out.print(f"  {line}", markup=False)
    known = any(not isinstance(cell.preference, Absent) for cell in cells)
    return ExitCode.PASS if known else ExitCode.NOTHING_TO_DO


def _write_lines(cell: CellResult) -> list[str]:
    found = cell.preference
    return [found.absent] if isinstance(found, Absent) else list(write_preference_lines(found))


def _to_json(cell: CellResult) -> dict[str, Any]:
    found = cell.preference
    return {"cell": cell.id, **found.model_dump(mode="json", exclude={"uncertainty"})}
