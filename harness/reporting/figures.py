"""Figures for print: the same charts as on the page, as SVG and PDF."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from harness.core.quality import Interval
from harness.core.units import Absent, format_seconds
from harness.reporting.layout import PATHS, PRINT_COLOURS, Label, LossScale, make_pareto_frame
from harness.reporting.quality import choose_scale, find_bounds, order_losses
from harness.reporting.text import STANDINGS, name_loss_axis
from harness.results import Run
from harness.results.format import format_margin
from harness.results.losses import GatedLoss
from harness.results.pareto import ParetoPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, HAIR = "#1c2230", "#5d6675", "#e3e1dc"
STAGE_COLOURS = ("#2e4f73", "#6f9bc4", "#c9a05c", "#b9bfc9", "#8d6b94", "#7aa489")
MARKERS = {"baseline": "D", "pass": "o", "fail": "X", "inconclusive": "^"}
_MOST_ROWS = 60
_PARETO_PX = (700.0, 420.0)  # the axes' size in the unit that labels are placed in
_POINTS = 0.62  # points per such pixel: 7.2 inches hold about 840 of them
_STYLE = {
    "font.family": "sans-serif", "font.sans-serif": ["Inter", "Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": "#b5b3ad", "axes.labelcolor": MUTED, "xtick.color": MUTED,
    "ytick.color": MUTED, "text.color": INK, "pdf.fonttype": 42, "svg.hashsalt": "harness",
    "axes.linewidth": 0.8, "legend.frameon": False,
}  # fmt: skip


def _new(width: float, height: float) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def mark_losses(
    axis: Any, scale: LossScale, spacing: float, write: Callable[[str], str] = str
) -> None:
    """Give an axis of positions from 0 to 1 the labels of the losses that stand there."""
    ticks = scale.ticks(spacing)
    axis.set_ticks(
        [scale.position(tick) for tick in ticks], [write(format_margin(tick)) for tick in ticks]
    )


def draw_pareto(run: Run, unprofiled: frozenset[str]) -> "Figure | None":
    """Return seconds per image against worst loss, with intervals, the front and the margin."""
    points, axis = tuple(run.pareto_points.values()), run.loss_axis
    if not points:
        return None
    figure, axes = _new(7.2, 4.4)
    frame = make_pareto_frame(points, axis, _PARETO_PX)
    scale = frame.scale
    if axis.margin is not None:
        axes.axhline(
            scale.position(axis.margin), color=PRINT_COLOURS["fail"], linestyle=(0, (5, 3)),
            linewidth=1, label=f"margin {format_margin(axis.margin)}",
        )  # fmt: skip
    front = sorted((p for p in points if p.on_front), key=lambda p: p.image_s.estimate)
    times = [point.image_s.estimate for point in front]
    losses = [scale.position(point.loss.estimate) for point in front]
    axes.step(
        times, losses, where="post", color="#9aa4b5", linewidth=1.1, zorder=1, label="Pareto front"
    )
    for point, label in zip(points, frame.labels(points), strict=True):
        _draw_point(axes, point, scale, label, point.cell.id in unprofiled)
    if frame.wide:
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xticks(frame.time_ticks(), [format_seconds(tick) for tick in frame.time_ticks()])
    axes.set_xlim(frame.low_s, frame.high_s)
    mark_losses(axes.yaxis, scale, 0.055)
    axes.set_ylim(0, 1)
    axes.set_xlabel("seconds per image (median), faster to the left")
    axes.set_ylabel(name_loss_axis(axis))
    _legend(axes, points, bool(unprofiled))
    return figure


def _draw_point(
    axes: "Axes", point: ParetoPoint, scale: LossScale, label: Label, hollow: bool
) -> None:
    time, standing = point.image_s, point.cell.standing
    colour, y = PRINT_COLOURS[standing], scale.position(point.loss.estimate)
    axes.plot([time.low, time.high], [y, y], color=colour, linewidth=1.1, alpha=0.6)
    ends = [scale.position(point.loss.low), scale.position(point.loss.high)]
    axes.plot([time.estimate] * 2, ends, color=colour, linewidth=1.1, alpha=0.6)
    fill, edge, wide = ("white", colour, 1.2) if hollow else (colour, "white", 0.6)
    axes.plot(
        time.estimate, y, marker=MARKERS.get(standing, "s"), markerfacecolor=fill, markersize=6.5,
        markeredgecolor=edge, markeredgewidth=wide, linestyle="none", zorder=3,
    )  # fmt: skip
    if label.shown:
        axes.annotate(
            point.cell.id, (time.estimate, y), xytext=(label.dx * _POINTS, -label.dy * _POINTS),
            textcoords="offset points", fontsize=7, color=INK, ha=label.align, va="center",
        )  # fmt: skip


def _legend(axes: "Axes", points: Sequence[ParetoPoint], has_hollow: bool) -> None:
    shown = {point.cell.standing for point in points}
    for standing in (name for name in PATHS if name in shown):
        axes.plot(
            [], [], marker=MARKERS.get(standing, "s"), color=PRINT_COLOURS[standing],
            linestyle="none", label=STANDINGS[standing],
        )  # fmt: skip
    if has_hollow:
        axes.plot(
            [], [], marker="o", markerfacecolor="white", markeredgecolor=MUTED, linestyle="none",
            label="hollow: unprofiled",
        )  # fmt: skip
    columns = min(6, len(axes.get_legend_handles_labels()[0]))
    # Above the axes: a mark may lie in any corner.
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, fontsize=8)


def draw_forest(run: Run) -> "Figure | None":
    """Return every judged loss with its interval against its own margin; None without any."""
    judged = [loss for loss in order_losses(run) if loss.rule and isinstance(loss.value, Interval)]
    kinds = list(dict.fromkeys(_name_kind(loss) for loss in judged))
    judged.sort(key=lambda loss: (loss.is_warning, kinds.index(_name_kind(loss))))
    losses = judged[:_MOST_ROWS]
    if not losses:
        return None
    figure, axes = _new(7.2, 0.9 + 0.2 * len(losses))
    scale = choose_scale(losses)
    axes.axvline(scale.position(0.0), color=HAIR, linewidth=1, zorder=0)
    for row, loss in enumerate(losses):
        _draw_loss(axes, row, loss, scale)
    names = [f"{loss.delta.cell_id}   {_name_kind(loss)}" for loss in losses]
    _label_rows(axes, names)
    axes.set_xlim(0, 1.01)
    mark_losses(axes.xaxis, scale, 0.08)
    label = "loss with its 95 % interval; thin: the verdict’s bounds; dashed: the margin"
    axes.set_xlabel(label, fontsize=8)
    return figure


def _name_kind(loss: GatedLoss) -> str:
    """Return what a row shows: the metric, whether it is a change, and whether it only warns."""
    what = f"{loss.delta.metric} change" if loss.quantity == "change" else loss.delta.metric
    return f"{what} (warning)" if loss.is_warning else what


def _label_rows(axes: "Axes", names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=7.5)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.4, -0.6)


def _draw_loss(axes: "Axes", row: int, loss: GatedLoss, scale: LossScale) -> None:
    value, result = loss.value, loss.verdict.result if loss.verdict else "unjudged"
    assert isinstance(value, Interval)
    colour = PRINT_COLOURS[result]
    for limit in loss.limits:
        axes.plot(
            [scale.position(limit)] * 2, [row - 0.5, row + 0.5], color=PRINT_COLOURS["fail"],
            linewidth=1, linestyle=(0, (3, 2)),
        )  # fmt: skip
    axes.plot(
        [scale.position(end) for end in find_bounds(loss)], [row, row], color=colour, linewidth=0.7
    )
    interval = [scale.position(value.low), scale.position(value.high)]
    axes.plot(interval, [row, row], color=colour, linewidth=1.8)
    axes.plot(
        scale.position(value.estimate), row, marker=MARKERS.get(result, "s"), color=colour,
        markersize=5, markeredgecolor="white", markeredgewidth=0.5,
    )  # fmt: skip


def draw_stages(run: Run) -> "Figure | None":
    """Return the median seconds per image of each stage and cell; None if nothing was timed."""
    timed = [
        (cell.id, {name: seconds / cell.timed.batch for name, seconds in cell.stages_s.items()})
        for cell in run.cells
        if not isinstance(cell.timed, Absent)
        and not isinstance(cell.stages_s, Absent)
        and cell.stages_s
    ][:_MOST_ROWS]
    if not timed:
        return None
    names = list(dict.fromkeys(name for _, stages in timed for name in stages))
    figure, axes = _new(7.2, 1.1 + 0.27 * len(timed))
    left = [0.0] * len(timed)
    for name, colour in zip(names, STAGE_COLOURS * 3, strict=False):
        widths = [stages.get(name, 0.0) for _, stages in timed]
        label = name.replace("_", " ")
        axes.barh(range(len(timed)), widths, left=left, height=0.62, color=colour, label=label)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for row, total in enumerate(left):
        axes.annotate(
            format_seconds(total), (total, row), xytext=(4, 0), textcoords="offset points",
            va="center", fontsize=7.5, color=MUTED,
        )  # fmt: skip
    _label_rows(axes, [cell_id for cell_id, _ in timed])
    axes.set_xlim(0, max(left) * 1.1)
    axes.set_xlabel("seconds per image (median)")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(names), fontsize=8)
    return figure


def draw_figures(run: Run, unprofiled: frozenset[str] = frozenset()) -> dict[str, bytes]:
    """Return file name → content: pareto, forest and stages as SVG and PDF, if they have data.

    `unprofiled` are the cells that are recommended without a trace.
    """
    from io import BytesIO

    import matplotlib as mpl

    makers: dict[str, Callable[[], Any]] = {
        "pareto": lambda: draw_pareto(run, unprofiled),
        "forest": lambda: draw_forest(run),
        "stages": lambda: draw_stages(run),
    }
    files: dict[str, bytes] = {}
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        for name, make in makers.items():
            figure = make()
            for kind in ("svg", "pdf") if figure is not None else ():
                file = BytesIO()
                undated = {"Date": None} if kind == "svg" else {"CreationDate": None}
                figure.savefig(file, format=kind, metadata=undated)
                files[f"{name}.{kind}"] = file.getvalue()
    return files
