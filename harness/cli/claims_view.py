"""Findings on published claims, for a terminal."""

from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from harness.claims import Finding, name_gpus, write_claimed, write_measured
from harness.core.quality import Interval

COLOURS = {"confirmed": "green", "refuted": "red", "not comparable": "yellow"}


def measured_table(findings: tuple[Finding, ...]) -> Table:
    """Return what was claimed beside what was measured, the comparable ones first."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for options in ({"justify": "right", "no_wrap": True}, {"style": "dim", "no_wrap": True}, {"overflow": "fold"}):
        table.add_column(**options)  # type: ignore[arg-type]
    for finding in sorted(findings, key=lambda finding: list(COLOURS).index(finding.verdict)):
        verdict = f"[{COLOURS[finding.verdict]}]{finding.verdict}[/]"
        for label, text in _lines(finding):
            table.add_row(verdict, label, text)
            verdict = ""
        table.add_row()
    return table


def absent_table(findings: tuple[Finding, ...]) -> Table:
    """Return the claims that nothing was measured for, by what is missing."""
    missing: dict[str, list[str]] = {}
    for finding in findings:
        missing.setdefault(finding.reasons[-1], []).append(finding.claim.id)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("not comparable, and nothing to set beside it", overflow="fold", ratio=1)
    table.add_column("claims", overflow="fold", ratio=1)
    for reason, ids in missing.items():
        table.add_row(escape(reason), f"[dim]{', '.join(ids)}[/]")
    return table


def summary(findings: tuple[Finding, ...]) -> str:
    """Return how many claims came out which way."""
    counts = [sum(finding.verdict == verdict for finding in findings) for verdict in COLOURS]
    return ", ".join(f"{count} {verdict}" for count, verdict in zip(counts, COLOURS, strict=True))


def _lines(finding: Finding) -> Iterator[tuple[str, str]]:
    """Yield a finding's lines, each with its label."""
    claim, here = finding.claim, finding.here
    assert isinstance(here, Interval)
    cells = finding.candidate + (f" against {finding.baseline}" if finding.baseline else "")
    yield "claim", f"[bold]{escape(claim.id)}[/]: {escape(claim.what)}"
    yield "claimed", f"{write_claimed(claim)} on {escape(name_gpus(claim))}"
    yield "here", f"[bold]{escape(write_measured(claim, here))}[/], {escape(cells)}"
    if finding.reasons:
        yield "differs", escape("\n".join(finding.reasons))
    if claim.note:
        yield "note", f"[dim]{escape(claim.note)}[/]"
    yield "source", f"[dim]{escape(claim.source.title)}[/]"
    if claim.source.url:
        yield "", f"[dim]{escape(claim.source.url)}[/]"
