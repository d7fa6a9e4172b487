"""The list of what can be swept: one line a value; for an axis that is named, its options too."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from harness.listing import FETCHED

Row = dict[str, Any]


def axes_lines(rows: list[Row]) -> Iterator[str]:
    """Yield one line per value under its axis: what it is, whether it runs here, why not or what it needs."""
    name_width = max(len(row["value"]) for row in rows)
    summary_width = max(len(row["summary"]) for row in rows)
    for axis, values in groupby(rows, key=lambda row: row["axis"]):
        yield axis
        for row in values:
            runs, note = _here(row)
            line = f"  {row['value']:<{name_width}}  {row['summary']:<{summary_width}}  {runs:<3}  {note}"
            yield line.rstrip()


def value_lines(row: Row) -> Iterator[str]:
    """Yield all that is known of one value: its options with their defaults, what it needs, whether it runs here."""
    runs, note = _here(row)
    yield f"{row['axis']} {row['value']}"
    yield f"  {row['summary']}"
    width = max((len(f"{name} = {option['default']}") for name, option in row["options"].items()), default=0)
    for name, option in row["options"].items():
        setting = f"{name} = {option['default']}"
        yield f"    {setting:<{width}}  {option['about']}".rstrip()
    yield f"  here: {runs}" + (f", {note}" if note else "")


def _here(row: Row) -> tuple[str, str]:
    if row["here"] == FETCHED:
        return "yes", FETCHED
    if row["here"] != "yes":
        return "no", row["here"]
    return "yes", f"needs {row['needs']}" if row["needs"] else ""
