"""Figures of a paper in its font: the Pareto chart at column width, intervals at text width."""

import shutil
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from harness.core.quality import Interval
from harness.core.units import format_seconds
from harness.exporting.latex import escape
from harness.exporting.paper_tables import order_cells
from harness.reporting.compared_runs import (
    BASELINE,
    ComparedCell,
    ComparedRuns,
    FamilyPoint,
    JointChart,
    build_joint_chart,
)
from harness.reporting.comparison_chart import (
    colour_techniques,
    frame_chart,
    label_steps,
    name_steps,
    shape_runs,
)
from harness.reporting.figures import HAIR, INK, MUTED, mark_losses
from harness.reporting.layout import PRINT_COLOURS, ParetoFrame, fit_loss_scale
from harness.reporting.text import name_loss_axis
from harness.results import Run
from harness.results.format import format_margin

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN_IN, TEXT_IN = 3.25, 6.875
"""Widths of a column and of both, as in the two-column styles of most conferences."""
_PARETO_PX = (520.0, 330.0)
_POINTS = COLUMN_IN * 72 / 640  # points per pixel that labels are placed in
_SIZES = {
    "font.size": 8, "axes.labelsize": 8, "xtick.labelsize": 7, "ytick.labelsize": 7,
    "legend.fontsize": 6.5, "axes.linewidth": 0.6, "lines.linewidth": 0.9,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "axes.spines.top": False,
    "axes.spines.right": False, "legend.frameon": False, "text.color": INK,
    "axes.edgecolor": "#8d8b86", "xtick.color": MUTED, "ytick.color": MUTED,
    "axes.labelcolor": INK,
}  # fmt: skip
_BY_MATPLOTLIB = {
    "font.family": ["cmr10", "STIXGeneral"], "mathtext.fontset": "cm", "pdf.fonttype": 42,
    "axes.formatter.use_mathtext": True,
}  # fmt: skip
"""Computer Modern, with signs it lacks from STIX: both come with matplotlib."""
_BY_LATEX = {
    "font.family": "serif", "font.serif": ["STIXGeneral"], "pgf.rcfonts": False,
    "pgf.texsystem": "pdflatex",
    "pgf.preamble": r"\usepackage[T1]{fontenc}\usepackage{lmodern}\usepackage{textcomp}",
}  # fmt: skip
Files = dict[str, bytes]


def has_latex() -> bool:
    """Return whether pdflatex is here, which figures in PGF are made with."""
    return shutil.which("pdflatex") is not None


def draw_paper_figures(found: ComparedRuns, runs: Sequence[Run]) -> Files:
    """Return file name → content: pareto and intervals as PDF, and as PGF where LaTeX is here."""
    import matplotlib as mpl

    chart, latex = build_joint_chart(runs), has_latex()
    files: Files = {}
    fonts: dict[str, Any] = _BY_LATEX if latex else _BY_MATPLOTLIB
    with mpl.rc_context({**_SIZES, **fonts}):
        figures = {"pareto": draw_joint_pareto(chart, found)}
        figures["intervals"] = draw_intervals(found, chart)
        for name, figure in figures.items():
            if figure is not None:
                kinds = ("pdf", "pgf") if latex else ("pdf",)
                files |= {f"{name}.{kind}": _save(figure, kind, latex) for kind in kinds}
    return files


def _save(figure: "Figure", kind: str, latex: bool) -> bytes:
    file = BytesIO()
    options: dict[str, Any] = {"backend": "pgf"} if latex else {"metadata": {"CreationDate": None}}
    figure.savefig(file, format=kind, **options)
    return file.getvalue()


def _new(width: float, height: float, columns: int = 1) -> "tuple[Figure, list[Axes]]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False, sharey=columns > 1)
    return figure, list(axes[0])


def write_text(text: str) -> str:
    """Return text for a figure: escaped where LaTeX sets it."""
    import matplotlib as mpl

    by_latex = mpl.rcParams["font.family"] == ["serif"]
    return escape(text).replace(r"\allowbreak{}", "") if by_latex else text


def draw_joint_pareto(chart: JointChart, found: ComparedRuns) -> "Figure | None":
    """Return seconds per image against worst loss: a colour per technique, a shape per run."""
    if not chart.points:
        return None
    figure, (axes,) = _new(COLUMN_IN, 2.9 + 0.12 * len(found.runs))
    frame = frame_chart(chart, _PARETO_PX)
    colours = {BASELINE: INK, **colour_techniques([p.technique for p in chart.points])}
    shapes = shape_runs([run.letter for run in found.runs])
    _draw_lines(axes, chart, frame, colours, {run.letter: run.group for run in found.runs})
    labels = label_steps(chart, frame)
    for point, label in zip(chart.points, labels, strict=True):
        _draw_mark(axes, point, frame, (colours[point.technique], shapes[point.run][1]))
        if label.shown:
            axes.annotate(
                name_steps(point),
                (point.point.image_s.estimate, frame.scale.position(point.point.loss.estimate)),
                xytext=(label.dx * _POINTS, -label.dy * _POINTS), textcoords="offset points",
                fontsize=5.5, color=MUTED, ha=label.align, va="center",
            )  # fmt: skip
    _set_axes(axes, frame, chart)
    for technique, colour in colours.items():
        axes.plot([], [], "o", color=colour, markersize=3.5, label=write_text(technique))
    if len(found.runs) > 1:
        for run in found.runs:
            shape = shapes[run.letter][1]
            axes.plot([], [], shape, color=MUTED, markerfacecolor="white", markersize=3.5,
                      label=f"run {run.letter}")  # fmt: skip
    figure.legend(loc="outside lower center", ncols=2, handletextpad=0.5, columnspacing=1.0)
    return figure


def _draw_lines(
    axes: "Axes", chart: JointChart, frame: ParetoFrame, colours: dict[str, str],
    groups: dict[str, str],
) -> None:  # fmt: skip
    """Draw the front of each group of runs, and a line through each family."""
    lines: dict[tuple[str, str], list[FamilyPoint]] = {}
    for point in chart.points:
        lines.setdefault((point.run, point.technique), []).append(point)
        if point.on_front:
            lines.setdefault((groups[point.run], ""), []).append(point)
    for (_, technique), points in lines.items():
        ordered = sorted(points, key=lambda p: p.point.image_s.estimate)
        times = [p.point.image_s.estimate for p in ordered]
        losses = [frame.scale.position(p.point.loss.estimate) for p in ordered]
        if technique:
            axes.plot(times, losses, ":", color=colours[technique], linewidth=0.8, zorder=1)
        else:
            axes.step(times, losses, where="post", color="#9aa4b5", linewidth=0.9, zorder=0)


def _draw_mark(axes: "Axes", found: FamilyPoint, frame: ParetoFrame, look: tuple[str, str]) -> None:
    (colour, shape), time, loss = look, found.point.image_s, found.point.loss
    y = frame.scale.position(loss.estimate)
    ends = [frame.scale.position(loss.low), frame.scale.position(loss.high)]
    axes.plot([time.low, time.high], [y, y], color=colour, linewidth=0.7, alpha=0.6)
    axes.plot([time.estimate] * 2, ends, color=colour, linewidth=0.7, alpha=0.6)
    passes = found.point.cell.standing in ("pass", "baseline")
    axes.plot(
        time.estimate, y, marker=shape, markersize=4, linestyle="none", zorder=3,
        markeredgecolor=colour, markerfacecolor=colour if passes else "white", markeredgewidth=0.9,
    )  # fmt: skip


def _set_axes(axes: "Axes", frame: ParetoFrame, chart: JointChart) -> None:
    margin = chart.axis.margin
    if margin is not None:
        label = write_text(f"margin {format_margin(margin)}")
        axes.axhline(
            frame.scale.position(margin), color=PRINT_COLOURS["fail"], linestyle=(0, (5, 3)),
            linewidth=0.8, label=label, zorder=0,
        )  # fmt: skip
    if frame.wide:
        axes.set_xscale("log")
        axes.minorticks_off()
    ticks = frame.time_ticks() if frame.wide else list(axes.get_xticks())
    axes.set_xticks(ticks, [write_text(format_seconds(tick)) if tick > 0 else "" for tick in ticks])
    axes.set_xlim(frame.low_s, frame.high_s)
    mark_losses(axes.yaxis, frame.scale, 0.07, write_text)
    axes.set_ylim(0, 1)
    axes.set_xlabel("seconds per image (median)")
    axes.set_ylabel(write_text(name_loss_axis(chart.axis)))


def draw_intervals(found: ComparedRuns, chart: JointChart) -> "Figure | None":
    """Return speedup and worst loss of every cell with 95 % intervals, side by side."""
    rows = [
        row
        for run in found.runs
        for row in order_cells(found.cells)
        if row.run == run.letter
        and isinstance(row.speedup, Interval)
        and isinstance(row.worst_loss, Interval)
    ]
    if not rows:
        return None
    figure, (speed, loss) = _new(TEXT_IN, 0.75 + 0.15 * len(rows), columns=2)
    losses = [end for row in rows for end in _list_ends(row.worst_loss)]
    margin = chart.axis.margin
    scale = fit_loss_scale(losses, chart.axis.knee, () if margin is None else (margin,))
    if margin is not None:
        loss.axvline(scale.position(margin), color=PRINT_COLOURS["fail"], linestyle=(0, (4, 2)),
                     linewidth=0.8)  # fmt: skip
    loss.axvline(scale.position(0), color=HAIR, linewidth=0.8, zorder=0)
    speed.axvline(1, color=HAIR, linewidth=0.8, zorder=0)
    for place, row in enumerate(rows):
        colour = PRINT_COLOURS[row.standing]
        _draw_interval(speed, place, row.speedup, colour)
        shown = [scale.position(end) for end in _list_ends(row.worst_loss)]
        loss.plot(shown[1:], [place, place], color=colour)
        loss.plot(shown[0], place, "o", color=colour, markersize=3)
    several = len(found.runs) > 1
    speed.set_yticks(range(len(rows)), [write_text(_name_row(row, several)) for row in rows])
    speed.set_ylim(len(rows) - 0.5, -0.5)
    for axes in (speed, loss):
        axes.tick_params(axis="y", length=0)
    _set_speed_axis(speed)
    loss.set_xlim(0, 1)
    mark_losses(loss.xaxis, scale, 0.08, write_text)
    loss.set_xlabel(write_text(name_loss_axis(chart.axis)))
    return figure


def _list_ends(value: object) -> tuple[float, ...]:
    return (value.estimate, value.low, value.high) if isinstance(value, Interval) else ()


def _name_row(row: ComparedCell, several: bool) -> str:
    letter = f"{row.run}: " if several else ""
    return f"{letter}{row.technique}, {row.steps} steps" if row.steps else letter + row.technique


def _draw_interval(axes: "Axes", place: int, value: object, colour: str) -> None:
    middle, low, high = _list_ends(value)
    axes.plot([low, high], [place, place], color=colour)
    axes.plot(middle, place, "o", color=colour, markersize=3)


def _set_speed_axis(axes: "Axes") -> None:
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    ticks = [tick for tick in (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64) if low <= tick <= high]
    axes.minorticks_off()
    axes.set_xticks(ticks, [write_text(f"{tick:g}×") for tick in ticks])
    axes.set_xlabel("speedup over the baseline")
