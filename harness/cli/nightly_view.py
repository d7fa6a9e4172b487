"""Terminal views of nights, histories, accepted changes and pruning."""

from collections.abc import Iterable
from typing import Any

from rich.table import Table

from harness.cli.console import out, show_json, show_notice, show_path
from harness.cli.tables import print_table
from harness.core.history import LevelChange
from harness.core.units import format_bytes, plural
from harness.history.pruning import Pruning
from harness.history.table import History
from harness.nightly.acceptance import Accepted
from harness.nightly.following import Followed, write_sentences
from harness.nightly.night import NightlyResult
from harness.nightly.text import state_decision, state_levels
from harness.reporting.trend_text import describe_change

STATES = {"new": "red", "suspected": "yellow", "known": "dim", "accepted": "dim"}


def show_night(result: NightlyResult, json: bool) -> int:
    """Print a night's answer and changes; return its exit code."""
    followed = result.followed
    if json:
        show_json(
            {
                "run": str(result.run),
                "repetition": str(result.repetition) if result.repetition else None,
                "exit_code": int(result.exit_code),
                "answer": list(result.answer),
                "failed": list(result.failed),
                "page": str(result.page),
                **_changes_json(followed),
            }
        )
        return result.exit_code
    for failure in result.failed:
        out.print(f"failed: {failure}", style="red", markup=False)
    show_changes(followed)
    show_path(result.page, progress=True)
    return result.exit_code


def show_history(followed: Followed, json: bool) -> None:
    """Print the nights of each machine, what is odd about them, and all changes."""
    history = followed.history
    if json:
        return show_json(
            {
                "matrix": history.lineage,
                "nights": [night.model_dump(mode="json") for night in history.nights],
                "series": [_series_json(history, machine) for machine in history.machines],
                "answer": list(write_sentences(followed)),
                **_changes_json(followed),
            }
        )
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("machine", "nights", "first", "newest", "series"):
        table.add_column(column, justify="right" if column in ("nights", "series") else "left")
    for machine in history.machines:
        nights = history.nights_on(machine)
        series = sum(1 for _ in history.all_series(machine))
        first, newest = (f"{night.time:%d %B %Y}" for night in (nights[0], nights[-1]))
        table.add_row(machine, str(len(nights)), first, newest, str(series))
    print_table(out, table)
    out.print()
    show_changes(followed)


def show_changes(followed: Followed, json: bool = False) -> None:
    """Print statements, changes with their causes, and the answer in two sentences."""
    if json:
        return show_json({"answer": list(write_sentences(followed)), **_changes_json(followed)})
    for statement in followed.statements:
        show_notice(statement)
    alone = len(followed.history.machines) == 1
    for change in followed.changes:
        title = describe_change(change, alone)
        out.print(f"{change.state:>9}", style=STATES[change.state], end="  ")
        out.print(title, style="bold", markup=False)
        for line in _list_details(followed.history, change):
            out.print(f"           {line}", style="dim", markup=False)
    for sentence in write_sentences(followed):
        out.print(sentence, style="bold", markup=False)


def _list_details(history: History, change: LevelChange) -> Iterable[str]:
    yield f"{state_levels(history, change)}. Id: {change.id}"
    if change.state == "suspected":
        yield state_decision(history, change)
    if change.why:
        yield f"accepted: {change.why}" if change.state == "accepted" else change.why
    yield from change.causes


def _changes_json(followed: Followed) -> dict[str, Any]:
    return {
        "changes": [change.model_dump(mode="json") for change in followed.changes],
        "statements": list(followed.statements),
    }


def _series_json(history: History, machine: str) -> dict[str, Any]:
    found = [
        {
            "cell": series.cell,
            "quantity": series.quantity,
            "runs": series.runs.tolist(),
            "values": series.values.tolist(),
            "low": series.low.tolist(),
            "high": series.high.tolist(),
        }
        for series in history.all_series(machine)
    ]
    return {"machine": machine, "series": found}


def show_added(added: tuple[tuple[str, int], ...], json: bool) -> None:
    """Print how many nights each history gained."""
    if json:
        return show_json([{"matrix": name, "nights": count} for name, count in added])
    for name, count in added:
        out.print(f"{name}: {plural(count, 'night')} added", markup=False)


def show_accepted(found: Accepted, json: bool) -> None:
    """Print what was accepted, and the file that records it."""
    if json:
        return show_json({"file": str(found.path), **found.accepted.model_dump(mode="json")})
    until = f" until {found.accepted.until:%d %B %Y}" if found.accepted.until else ""
    out.print(f"accepted{until}: {found.accepted.change}", markup=False)
    out.print(f"Commit {found.path}", style="cyan", markup=False)


def show_pruning(planned: Pruning, passed_over: tuple[str, ...], done: bool, json: bool) -> None:
    """Print what was or would be deleted."""
    if json:
        return show_json(_pruning_json(planned, passed_over, done))
    for found in planned.runs:
        parts = [
            plural(len(found.images), "cell's images", "cells' images") if found.images else "",
            plural(len(found.traces), "trace") if found.traces else "",
        ]
        what = ", ".join(part for part in parts if part) or f"kept: {found.pinned}"
        out.print(f"{found.run.name}: {what}", style="dim" if found.pinned else "", markup=False)
    for text in passed_over:
        show_notice(f"passed over: {text}")
    counts = f"{plural(planned.images, 'image')} and {plural(planned.traces, 'trace')}"
    size = format_bytes(planned.freed_bytes)
    if not planned.images and not planned.traces:
        out.print("Nothing to delete.")
    elif done:
        out.print(f"Deleted {counts}: {size} freed.", markup=False)
    else:
        out.print(f"Would delete {counts} and free {size}. Add --yes to do it.", style="yellow")


def _pruning_json(planned: Pruning, passed_over: tuple[str, ...], done: bool) -> dict[str, Any]:
    runs = [
        {
            "run": str(found.run),
            "image_folders": list(map(str, found.images)),
            "traces": list(map(str, found.traces)),
            "kept": found.pinned or None,
        }
        for found in planned.runs
    ]
    return {
        "deleted": done,
        "images": planned.images,
        "traces": planned.traces,
        "freed_bytes": planned.freed_bytes,
        "runs": runs,
        "passed_over": list(passed_over),
    }
