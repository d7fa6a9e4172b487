"""Tables of a paper: speed and worst loss, losses by metric, all scores, published figures."""

from collections.abc import Iterator, Sequence

from harness.core.quality import Interval
from harness.core.units import Absent
from harness.exporting.latex import (
    DAGGER,
    DASH,
    DOUBLE_DAGGER,
    Field,
    Float,
    Number,
    Row,
    TexColumn,
    Writer,
    code,
    escape,
    fit,
    longtable,
    tabular,
    write_ends,
)
from harness.exporting.references import cite, name_source
from harness.reporting.compared_runs import (
    BASELINE,
    ComparedCell,
    ComparedRuns,
    PublishedFigure,
)
from harness.results import CellResult, Run

GIB = 2**30
_PERCENT = Writer(scale=100, places=1)
_FACTOR = Writer(places=2)
_SCORE = Writer(digits=4)
VERDICTS = {
    "baseline": "baseline", "pass": "non-inferior", "fail": "inferior",
    "inconclusive": "inconclusive", "missing": "missing", "unjudged": "--", "skipped": "not run",
    "failed": "failed", "pending": "not run",
}  # fmt: skip
MARKS = {
    "pass": DAGGER,
    "inconclusive": DOUBLE_DAGGER,
    "missing": " (figure missing)",
    "skipped": " (not run)",
    "failed": " (failed)",
    "pending": " (not run)",
}
"""What stands after the name of a cell with this standing."""


def write_main_table(found: ComparedRuns) -> Float:
    """Return the table of latency, speedup, worst loss, memory and verdict of every cell."""
    seconds = _choose_unit(found.cells)
    unit = "ms" if seconds.scale == 1000 else "s"
    columns = (
        TexColumn("Technique"), TexColumn("Steps", "r"), TexColumn(f"{unit}/image", "S"),
        TexColumn("Speedup", "S"), TexColumn("95\\,\\% CI"), TexColumn("Loss (\\%)", "S"),
        TexColumn("95\\,\\% CI"), TexColumn("Worst metric"), TexColumn("GiB", "S"),
    )  # fmt: skip
    blocks = []
    for run in found.runs:
        rows = [row for row in order_cells(found.cells) if row.run == run.letter]
        best = find_best(rows)
        title = f"{run.letter}: {escape(run.title)}" if len(found.runs) > 1 else ""
        blocks.append((title, [_main_row(row, row is best, seconds) for row in rows]))
    caption = (
        "Latency and quality. Speedups and losses are relative to the baseline"
        f"{' of the same run' if len(found.runs) > 1 else ''}; "
        f"{DAGGER} non-inferior to it, {DOUBLE_DAGGER} inconclusive; bold: the fastest "
        "non-inferior configuration. The loss is that of the metric that uses most of its margin: "
        "0\\,\\% is a rerun of the baseline, 100\\,\\% is destroyed quality. GiB: peak memory."
    )
    return Float(fit(tabular(columns, blocks), 4), caption, "tab:main", wide=True)


def order_cells(cells: Sequence[ComparedCell]) -> list[ComparedCell]:
    """Return the baseline first, then cells by technique in order of appearance, most steps
    first."""
    techniques = list(dict.fromkeys(cell.technique for cell in cells))

    def place(cell: ComparedCell) -> tuple[bool, int, float]:
        steps = -float(cell.steps) if cell.steps.isdigit() else 0.0
        return cell.technique != BASELINE, techniques.index(cell.technique), steps

    return sorted(cells, key=place)


def find_best(cells: Sequence[ComparedCell]) -> ComparedCell | None:
    """Return the fastest cell that is non-inferior to the baseline."""
    passing = [
        (cell.speedup.estimate, cell)
        for cell in cells
        if cell.standing == "pass" and isinstance(cell.speedup, Interval)
    ]
    return max(passing, key=lambda pair: pair[0])[1] if passing else None


def _choose_unit(cells: Sequence[ComparedCell]) -> Writer:
    times = [cell.image_s.estimate for cell in cells if isinstance(cell.image_s, Interval)]
    return Writer(scale=1000, digits=3) if times and min(times) < 0.1 else Writer(digits=3)


def _main_row(row: ComparedCell, best: bool, seconds: Writer) -> Row:
    is_baseline = row.standing == "baseline"
    name = f"{escape(row.technique)}{MARKS.get(row.standing, '')}"
    memory = row.peak_memory_bytes
    return (
        rf"\textbf{{{name}}}" if best else name,
        row.steps,
        _number(row.image_s, seconds, best),
        _number(row.speedup, _FACTOR, best),
        "" if is_baseline else write_ends(row.speedup, _FACTOR),
        "0.0" if is_baseline else _number(row.worst_loss, _PERCENT, best),
        "" if is_baseline else write_ends(row.worst_loss, _PERCENT),
        escape(row.worst_metric) or "--",
        DASH if isinstance(memory, Absent) else Writer(places=2)(memory / GIB),
    )


def _number(value: Interval | Absent, write: Writer, best: bool = False) -> Field:
    return DASH if isinstance(value, Absent) else Number(write(value.estimate), best)


def list_loss_metrics(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return the metrics with losses, those that gate first."""
    deltas = [delta for run in runs for found in run.deltas.values() for delta in found.values()]
    names = dict.fromkeys(delta.metric for delta in deltas)
    gating = {delta.metric for delta in deltas if delta.gates}
    return tuple(sorted(names, key=lambda name: name not in gating))


def write_loss_table(found: ComparedRuns, runs: Sequence[Run]) -> Float:
    """Return the table of losses: cells by metrics, the least of each metric bold."""
    metrics = list_loss_metrics(runs)
    columns = [TexColumn("Technique"), TexColumn("Steps", "r")]
    columns += [TexColumn(_stack(metric), "S") for metric in metrics]
    blocks = []
    for letter, run in zip((item.letter for item in found.runs), runs, strict=True):
        rows = [
            row
            for row in order_cells(found.cells)
            if row.run == letter and run.deltas.get(row.cell)
        ]
        least = {metric: _find_least(run, rows, metric) for metric in metrics}
        title = f"{letter}: {escape(_title(found, letter))}" if len(runs) > 1 else ""
        blocks.append((title, [_loss_row(run.cell(row.cell), row, least) for row in rows]))
    caption = (
        "Calibrated loss of every metric in percent; "
        f"{DAGGER} non-inferior by this metric's rule; bold: the least loss of a metric. Metrics "
        "to the right of the gating ones are reported only: they do not decide where a technique "
        "changes the denoising trajectory."
    )
    return Float(fit(tabular(columns, blocks), 3), caption, "tab:losses", wide=True)


def _title(found: ComparedRuns, letter: str) -> str:
    return next(run.title for run in found.runs if run.letter == letter)


def _stack(metric: str) -> str:
    name, _, profile = metric.partition(":")
    return rf"\shortstack{{{escape(name)}\\{escape(profile)}}}" if profile else escape(name)


def _find_least(run: Run, rows: Sequence[ComparedCell], metric: str) -> str:
    """Return the cell with the least loss of a metric."""
    losses = {
        row.cell: delta.loss.estimate
        for row in rows
        if (delta := run.deltas[row.cell].get(metric)) and isinstance(delta.loss, Interval)
    }
    return min(losses, key=lambda cell: losses[cell]) if losses else ""


def _loss_row(cell: CellResult, row: ComparedCell, least: dict[str, str]) -> Row:
    passed = {
        judged.metric
        for judged in (cell.verdict.rules if cell.verdict else ())
        if judged.rule.quantity == "loss" and judged.result == "pass"
    }
    fields: list[Field] = [escape(row.technique), row.steps]
    for metric, best in least.items():
        delta = cell.deltas.get(metric)
        known = delta is not None and isinstance(delta.loss, Interval)
        fields.append(
            Number(_PERCENT(delta.loss.estimate), best == cell.id, metric in passed)  # type: ignore[union-attr]
            if known
            else DASH
        )
    return fields


def write_score_table(found: ComparedRuns, runs: Sequence[Run]) -> str:
    """Return the appendix's table of every score with its interval and number of images."""
    columns = [
        TexColumn("Cell", "p{0.36\\linewidth}"),
        TexColumn("Metric"),
        TexColumn("Score", "S"),
    ]
    columns += [TexColumn("95\\,\\% CI"), TexColumn("Images", "r")]
    rows = [
        row
        for item, run in zip(found.runs, runs, strict=True)
        for row in _score_rows(run, f"{item.letter}: " if len(runs) > 1 else "")
    ]
    return longtable(columns, rows)


def _score_rows(run: Run, prefix: str) -> Iterator[Row]:
    for cell in run.cells:
        for metric, score in cell.scores.items():
            yield (
                f"{prefix}{escape(cell.id)}",
                escape(metric),
                _SCORE(score.value.estimate),
                write_ends(score.value, _SCORE),
                f"{score.n:,}",
            )


def write_published_table(published: Sequence[PublishedFigure], several: bool) -> Float:
    """Return the table of published figures next to those of the runs."""
    columns = [
        TexColumn("Claim", "p{0.42\\textwidth}"),
        TexColumn("Published"),
        TexColumn("Measured"),
    ]
    columns += [TexColumn("Run")] if several else []
    columns += [TexColumn("Verdict"), TexColumn("Source")]
    rows = []
    for row in published:
        source = cite(name_source(row)).lstrip("~") if row.url else "unsourced"
        run = [row.run] if several else []
        fields = (escape(row.what), escape(row.claimed), escape(row.here) or "--")
        rows.append([*fields, *run, escape(row.verdict), source])
    caption = (
        "Published figures next to measured ones. Published figures were not measured here; those "
        "of another machine or model are \\emph{not comparable}."
    )
    return Float(fit(tabular(columns, [("", rows)]), 4), caption, "tab:published", wide=True)


def write_definition_table(runs: Sequence[Run]) -> str:
    """Return the appendix's table of what each metric's number means."""
    columns = (
        TexColumn("Metric"), TexColumn("Extractor and formula", "p{0.29\\linewidth}"),
        TexColumn("Resize and values", "p{0.2\\linewidth}"),
        TexColumn("Reference", "p{0.16\\linewidth}"), TexColumn("Weights", "l"),
    )  # fmt: skip
    definitions = {name: found for run in runs for name, found in run.definitions.items()}
    rows = [
        (
            escape(name),
            escape("; ".join(part for part in (one.extractor, one.formula) if part)),
            escape(f"{one.resize}; {one.value_range}; {one.library}"),
            escape(one.reference),
            code(one.weights_sha256[:12]) if one.weights_sha256 else "none",
        )
        for name, one in definitions.items()
    ]
    return longtable(columns, rows)
