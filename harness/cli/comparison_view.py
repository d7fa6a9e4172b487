"""Terminal views of two runs side by side, and of published claims."""

from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from harness.claims import Finding, name_gpus, write_claimed, write_measured
from harness.core.quality import Interval
from harness.core.units import Absent, format_percent, format_seconds
from harness.reporting.comparison import Comparison

PAIRED = "B ÷ A, over the baselines"
UNPAIRED = "B ÷ A, unpaired"
"""Two runs have different conditions; these cancel only where each cell is divided by its own
baseline."""
APART = "baselines differ"


def comparison_parts(found: Comparison) -> Iterator[Text | Table]:
    """Yield the differences between the runs, a row for each cell, and the scores of both."""
    for difference in found.differences:
        yield Text(f"differs: {difference}", style="yellow")
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("cell", "latency A", "latency B", PAIRED, UNPAIRED, "verdict A", "verdict B"):
        table.add_column(
            column, justify="left" if column.startswith(("cell", "verdict")) else "right"
        )
    for pair in found.cells:
        shown = [
            format_seconds(seconds) if seconds else ""
            for seconds in (pair.latency_a_s, pair.latency_b_s)
        ]
        adjusted = pair.baseline_adjusted
        paired = (
            _ratio(adjusted.estimate, adjusted)
            if isinstance(adjusted, Interval)
            else APART
            if found.baselines
            else ""
        )
        unpaired = _ratio(pair.speedup, pair.interval) if pair.speedup else ""
        table.add_row(Text(pair.cell), *shown, paired, unpaired, pair.verdict_a, pair.verdict_b)
    yield table
    for pair in found.cells:
        for difference in pair.conditions:
            yield Text(f"{pair.cell} differs: {difference}", style="yellow")
    scores = _scores(found)
    if scores.row_count:
        yield Text()
        yield scores


def _ratio(speedup: float, interval: Interval | Absent) -> str:
    ends = f" ({interval.low:.2f} to {interval.high:.2f})" if isinstance(interval, Interval) else ""
    return f"{speedup:.2f}× as fast{ends}"


def _scores(found: Comparison) -> Table:
    scores = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("cell", "metric", "score A", "score B", "loss A", "loss B"):
        scores.add_column(column, justify="left" if column in ("cell", "metric") else "right")
    for pair in found.cells:
        for score in pair.quality:
            values = [
                f"{value:.4g}" if value is not None else ""
                for value in (score.score_a, score.score_b)
            ]
            losses = [
                format_percent(loss) if loss is not None else ""
                for loss in (score.loss_a, score.loss_b)
            ]
            losses = [f"[red]{APART}[/]", ""] if score.loss_refused else losses
            row = ["[red]not comparable[/]", "", "", ""] if score.refused else [*values, *losses]
            scores.add_row(pair.cell, score.metric, *row)
    return scores


def refusals(found: Comparison) -> list[str]:
    """Return the figures that cannot be compared, each with its reason, in the order of cells."""
    relative = "ratios over the baseline, losses and paired scores are not comparable"
    reasons = [f"{APART}: {'; '.join(found.baselines)}: {relative}"] if found.baselines else []
    for score in (score for pair in found.cells for score in pair.quality if score.refused):
        reason = f"{score.metric}: not comparable: {score.refused}"
        if not found.baselines or not score.refused.startswith("the baselines differ"):
            reasons.append(reason)
    return list(dict.fromkeys(reasons))


def advice(found: Comparison) -> str:
    """Return how to make two runs comparable."""
    if found.baselines:
        return "Measure both runs with the same baseline: name it in [baseline] of both matrices."
    return "Score both runs on this machine: harness evaluate RUN"


COLOURS = {"confirmed": "green", "refuted": "red", "not comparable": "yellow"}


def measured_table(findings: tuple[Finding, ...]) -> Table:
    """Return claimed and measured figures, comparable ones first."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for options in (
        {"justify": "right", "no_wrap": True},
        {"style": "dim", "no_wrap": True},
        {"overflow": "fold"},
    ):
        table.add_column(**options)  # type: ignore[arg-type]
    for finding in sorted(findings, key=lambda finding: list(COLOURS).index(finding.verdict)):
        verdict = f"[{COLOURS[finding.verdict]}]{finding.verdict}[/]"
        for label, text in _lines(finding):
            table.add_row(verdict, label, text)
            verdict = ""
        table.add_row()
    return table


def absent_table(findings: tuple[Finding, ...]) -> Table:
    """Return the claims without a measured figure, by reason."""
    missing: dict[str, list[str]] = {}
    for finding in findings:
        missing.setdefault(finding.reasons[-1], []).append(finding.claim.id)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("not comparable, and not measured", overflow="fold", ratio=1)
    table.add_column("claims", overflow="fold", ratio=1)
    for reason, ids in missing.items():
        table.add_row(escape(reason), f"[dim]{', '.join(ids)}[/]")
    return table


def summary(findings: tuple[Finding, ...]) -> str:
    """Return the number of claims by verdict."""
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
