"""The terminal view of `harness nightly --demo`."""

import os
import platform
import sys
import webbrowser
from collections.abc import Sequence

from rich.table import Table

from harness.cli.console import out, show_json, show_path
from harness.cli.tables import print_table
from harness.core.history import LevelChange
from harness.core.units import format_percent
from harness.history.quantities import LOSS, find_quantity
from harness.nightly.demo import DemoResult
from harness.nightly.following import write_sentences
from harness.nightly.simulated_nights import PlantedChange, date_night
from harness.reporting.trend_changes import OpenRegression
from harness.reporting.trend_text import describe_change, format_size


def show_demo(result: DemoResult, json: bool) -> None:
    """Print what was planted and what was found; on a desktop the page opens in the browser."""
    if json:
        return show_json(_to_json(result))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("planted", "cell", "quantity", "size", "since", "found", "size found"):
        table.add_column(title, justify="right" if title.startswith("size") else "left")
    for planted, changes in result.found:
        where = planted.cell or "the machine"
        title = find_quantity(planted.quantity).title
        day = _write_day(planted.run)
        row = (planted.name, where, title, _write_size(planted), day)
        table.add_row(*row, *_write_found(planted, changes))
    print_table(out, table)
    out.print()
    for change in result.unplanted:
        clause = f"{describe_change(change)} since {_write_day(change.since)}"
        out.print(f"Not planted, a false alarm: {clause}.", style="yellow", markup=False)
    for sentence in write_sentences(result.followed):
        out.print(sentence, style="bold", markup=False)
    show_path(result.page)
    if sys.stdout.isatty() and _has_desktop():
        webbrowser.open(result.page.resolve().as_uri())


def _write_found(planted: PlantedChange, changes: Sequence[LevelChange]) -> tuple[str, str]:
    """Return when a planted change was first found, and the size of all that was found."""
    if not changes:
        return ("no alarm, as it should be" if planted.shape == "night" else "not found", "")
    total = OpenRegression(parts=tuple(changes)).total
    return _write_day(changes[0].found), format_size(total)


def _write_day(run: str) -> str:
    return f"{date_night(run):%d %B}".lstrip("0")


def _write_size(planted: PlantedChange) -> str:
    sign = "+" if planted.size > 0 else "−"
    if planted.quantity.endswith(LOSS):
        return f"{sign}{100 * abs(planted.size):.1f} points"
    return f"{sign}{format_percent(abs(planted.size))}"


def _has_desktop() -> bool:
    """Whether a browser has a screen to open on."""
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(shown) or platform.system() in ("Darwin", "Windows")


def _to_json(result: DemoResult) -> dict[str, object]:
    return {
        "page": str(result.page),
        "answer": list(write_sentences(result.followed)),
        "planted": [
            {**planted.model_dump(mode="json"), "since": planted.run,
             "found": [change.model_dump(mode="json") for change in changes]}
            for planted, changes in result.found
        ],
        "changes": [change.model_dump(mode="json") for change in result.followed.changes],
    }  # fmt: skip
