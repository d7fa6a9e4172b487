"""Terminal views of runs side by side, and of published claims."""

from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from harness.claims import Finding, name_gpus, write_claimed, write_measured
from harness.core.quality import Interval
from harness.core.units import Absent, format_percent, format_seconds
from harness.reporting.compared_runs import ComparedRuns
from harness.reporting.comparison import Comparison
from harness.reporting.text import STANDINGS
from harness.results.format import format_value

PAIRED = "{1} ÷ {0}, over the baselines"
UNPAIRED = "{1} ÷ {0}, unpaired"
"""Two runs have different conditions; these cancel only where each cell is divided by its own
baseline."""
APART = "baselines differ"


def comparison_parts(found: ComparedRuns) -> Iterator[Text | Table]:
    """Yield the runs and their cells, if there are more than two; each later run against the
    first; and published figures."""
    if len(found.runs) > 2:
        for run in found.runs:
            yield Text(f"{run.letter}  {run.title}  ({run.run_id})", style="bold")
        yield Text()
        yield _joint_table(found)
        for note in found.chart_notes:
            yield Text(note, style="yellow")
    for pair in found.pairs:
        if len(found.runs) > 2:
            yield Text(f"\n{pair.runs[1]} against {pair.runs[0]}", style="bold")
        yield from pair_parts(pair)
    if found.published:
        yield Text()
        yield _published_table(found)


def _joint_table(found: ComparedRuns) -> Table:
    columns = ("run", "cell", "technique", "per image", "speedup", "worst loss", "verdict")
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        numeric = column in ("per image", "speedup", "worst loss")
        table.add_column(column, justify="right" if numeric else "left")
    for row in found.cells:
        figures = (
            format_value(row.image_s, "seconds"),
            format_value(row.speedup, "factor"),
            "" if row.standing == "baseline" else format_value(row.worst_loss, "share"),
        )
        front = ", on the front" if row.on_front else ""
        words = f"{STANDINGS[row.standing]}{front}"
        table.add_row(row.run, Text(row.cell), row.technique, *map(Text, figures), words)
    return table


def _published_table(found: ComparedRuns) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("published", "claimed", "run", "measured", "verdict", "source"):
        table.add_column(column, justify="right" if column in ("claimed", "measured") else "left")
    for row in found.published:
        verdict = f"[{COLOURS[row.verdict]}]{row.verdict}[/]"
        fields = (Text(row.claim), Text(row.claimed), row.run, Text(row.here))
        table.add_row(*fields, verdict, Text(row.source))
    return table


def pair_parts(found: Comparison) -> Iterator[Text | Table]:
    """Yield the differences between two runs, a row for each cell, and the scores of both."""
    for difference in found.differences:
        yield Text(f"differs: {difference}", style="yellow")
    table = Table(box=None, header_style="bold", pad_edge=False)
    first, second = found.runs
    ratios = (name.format(*found.runs) for name in (PAIRED, UNPAIRED))
    latencies = (f"latency {first}", f"latency {second}")
    for column in ("cell", *latencies, *ratios, f"verdict {first}", f"verdict {second}"):
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
    first, second = found.runs
    names = (f"score {first}", f"score {second}", f"loss {first}", f"loss {second}")
    for column in ("cell", "metric", *names, f"loss {second} − {first}"):
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
            losses.append(format_value(score.loss_change, "share") if score.loss_change else "")
            losses = [f"[red]{APART}[/]", "", ""] if score.loss_refused else losses
            refused = ["[red]not comparable[/]", "", "", "", ""]
            row = refused if score.refused else [*values, *map(_literal, losses)]
            scores.add_row(pair.cell, score.metric, *row)
    return scores


def _literal(text: str) -> str:
    """Return text whose interval in brackets is not read as markup."""
    return text if text.startswith("[red]") else escape(text)


def refusals(found: ComparedRuns) -> list[str]:
    """Return the figures that cannot be compared, each with its reason, in the order of cells."""
    several = len(found.pairs) > 1
    return list(
        dict.fromkeys(
            f"{pair.runs[1]} against {pair.runs[0]}: {reason}" if several else reason
            for pair in found.pairs
            for reason in _pair_refusals(pair)
        )
    )


def _pair_refusals(found: Comparison) -> list[str]:
    relative = "ratios over the baseline, losses and paired scores are not comparable"
    reasons = [f"{APART}: {'; '.join(found.baselines)}: {relative}"] if found.baselines else []
    for score in (score for pair in found.cells for score in pair.quality if score.refused):
        reason = f"{score.metric}: not comparable: {score.refused}"
        if not found.baselines or not score.refused.startswith("the baselines differ"):
            reasons.append(reason)
    return list(dict.fromkeys(reasons))


def advice(found: ComparedRuns) -> str:
    """Return how to make runs comparable."""
    if any(pair.baselines for pair in found.pairs):
        return "Measure all runs with the same baseline: name it in [baseline] of every matrix."
    return "Score all runs on this machine: harness evaluate RUN"


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
