"""The table of what a planned run can tell."""

from rich.table import Table

from harness.core.units import format_percent
from harness.planning import Power


def power_table(rows: tuple[Power, ...]) -> Table:
    """Return one line for each cell and metric."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in (
        "cell",
        "metric",
        "seen",
        "decides with",
        "power here",
        "passes up to",
        "fails from",
        "tells from 0",
    ):
        table.add_column(column, justify="left" if column in ("cell", "metric") else "right")
    for row in rows:
        table.add_row(
            row.cell_id,
            row.metric,
            "new cell" if row.seen is None else format_percent(row.seen),
            "too close to tell" if row.prompts_needed is None else f"{row.prompts_needed:,} prompts",
            format_percent(row.decides, 0),
            "none" if row.passes_up_to is None else format_percent(row.passes_up_to),
            format_percent(row.fails_from),
            format_percent(row.detects),
        )
    return table


def power_note(rows: tuple[Power, ...]) -> str:
    """Return how the table is to be read."""
    pilot, most = min(row.pilot_prompts for row in rows), rows[0].prompts
    return (
        f"By the spread seen with {pilot} or more prompts; this plan has at most {most}. `decides with`: if the loss is"
        " what was seen (0 for a new cell). The last three columns: true losses that this plan passes, fails, or tells"
        " from no loss, each with 90 % probability."
    )
