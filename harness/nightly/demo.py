"""`harness nightly --demo`: simulated nights, the changes detected in them, and the trend page."""

from pathlib import Path
from typing import NamedTuple

from harness.core.history import LevelChange, NightlyBudget
from harness.core.parsing import expand_user
from harness.history.acceptance import FILE_NAME, Acceptance, add_accepted, read_accepted
from harness.history.changes import Criteria, find_changes
from harness.history.statements import list_statements
from harness.history.table import History
from harness.nightly.following import Followed, write_page
from harness.nightly.simulated_images import write_image_nights
from harness.nightly.simulated_nights import (
    ACCEPTED_WHY,
    NIGHTS,
    PLANTED,
    PlantedChange,
    date_night,
    name_night,
    simulate_nights,
)
from harness.store.layout import history_file

FOLDER = Path("nightly-demo")
"""Where the demo is written by default: nothing of it lies among real results."""
_SLACK = 12
"""Nights by which a found beginning may be earlier or later than the planted one."""


class DemoResult(NamedTuple):
    """The page, what was found, and each planted change with those that were found for it."""

    page: Path
    followed: Followed
    found: tuple[tuple[PlantedChange, tuple[LevelChange, ...]], ...]

    @property
    def unplanted(self) -> tuple[LevelChange, ...]:
        """Changes that were found although nothing was planted: false alarms."""
        planted = {change.id for _, changes in self.found for change in changes}
        return tuple(
            change for change in self.followed.changes
            if change.id not in planted and change.state != "suspected"
        )  # fmt: skip


def run_demo(out: Path | None = None) -> DemoResult:
    """Write 120 simulated nights, detect their changes, and write the trend page.

    `out` gets results/, reports/ and the file of accepted changes, as a real matrix has them.
    Raises MachineError if it cannot be written.
    """
    folder = expand_user(out or FOLDER)
    results, accepted = folder / "results", folder / FILE_NAME
    write_image_nights(results)
    history = simulate_nights().mark_stale(results)
    history.save(history_file(results, history.lineage))
    changes = _find(history, accepted, results)
    if _accept(changes, accepted):
        changes = _find(history, accepted, results)
    followed = Followed(history, changes, list_statements(history), accepted)
    page = write_page(followed, results)
    return DemoResult(
        page, followed, tuple((planted, match_changes(planted, changes)) for planted in PLANTED)
    )


def _find(history: History, accepted: Path, results: Path) -> tuple[LevelChange, ...]:
    today = history.nights[-1].time.date()
    return find_changes(history, Criteria(NightlyBudget(), read_accepted(accepted), today, results))


def _accept(changes: tuple[LevelChange, ...], path: Path) -> bool:
    """Record the planted change that is accepted; return whether it was found and new there."""
    planted = next(change for change in PLANTED if change.name == "accepted change")
    change = next(iter(match_changes(planted, changes)), None)
    if change is None or change.state == "accepted":
        return False
    record = Acceptance(
        change=change.id, machine=change.machine, cell=change.cell, quantity=change.quantity,
        since=change.since, previous=name_night(planted.night - 1), before=change.before.estimate,
        after=change.after.estimate, who="demo", when=date_night(change.found).date(),
        why=ACCEPTED_WHY,
    )  # fmt: skip
    add_accepted(path, record)
    return True


def match_changes(
    planted: PlantedChange, changes: tuple[LevelChange, ...]
) -> tuple[LevelChange, ...]:
    """Return the changes that were found for a planted one, the oldest first: a drift has several.

    Suspected changes do not count.
    """
    nights = {name_night(night): night for night in range(NIGHTS)}
    latest = NIGHTS if planted.shape == "drift" else planted.night + _SLACK
    fitting = [
        change for change in changes
        if (change.cell, change.quantity) == (planted.cell, planted.quantity)
        and (change.direction == "worse") == (planted.size > 0) and change.state != "suspected"
        and planted.night - _SLACK <= nights[change.since] <= latest
    ]  # fmt: skip
    return tuple(sorted(fitting, key=lambda change: nights[change.since]))
