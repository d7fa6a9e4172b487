"""Figures for print: the same charts as on the page, as SVG and PDF."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.core.quality import Interval
from harness.core.units import Absent
from harness.reporting.facts import Facts
from harness.reporting.forest import choose_scale, find_bounds, ordered_losses
from harness.reporting.gated_losses import GatedLoss
from harness.reporting.loaded import LoadedRun
from harness.reporting.marks import PATHS, PRINT_COLOURS
from harness.reporting.pareto import LossAxis, Point, loss_axis
from harness.reporting.placement import Label, pareto_frame
from harness.reporting.recommended import recommended
from harness.reporting.scale import LossScale
from harness.reporting.wording import WORDS, round_share, seconds

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
    "font.family": "sans-serif", "font.sans-serif": ["Inter", "Helvetica", "Arial", "DejaVu Sans"], "font.size": 9,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#b5b3ad", "axes.labelcolor": MUTED,
    "xtick.color": MUTED, "ytick.color": MUTED, "text.color": INK, "pdf.fonttype": 42, "svg.hashsalt": "harness",
    "axes.linewidth": 0.8, "legend.frameon": False,
}  # fmt: skip


def _new(width: float, height: float) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _loss_axis(axis: Any, scale: LossScale, spacing: float) -> None:
    """Give an axis of positions from 0 to 1 the labels of the losses that stand there."""
    ticks = scale.ticks(spacing)
    axis.set_ticks([scale.position(tick) for tick in ticks], [round_share(tick) for tick in ticks])


def pareto_figure(points: tuple[Point, ...], axis: LossAxis) -> "Figure":
    """Return seconds per image against worst loss, with intervals, the front and the margin."""
    figure, axes = _new(7.2, 4.4)
    frame = pareto_frame(points, axis, _PARETO_PX)
    scale = frame.scale
    if axis.margin is not None:
        axes.axhline(scale.position(axis.margin), color=PRINT_COLOURS["fail"], linestyle=(0, (5, 3)), linewidth=1,
                     label=f"margin {round_share(axis.margin)}")  # fmt: skip
    front = sorted((point for point in points if point.front), key=lambda point: point.latency_s)
    axes.step([point.latency_s for point in front], [scale.position(point.loss) for point in front], where="post",
              color="#9aa4b5", linewidth=1.1, zorder=1, label="Pareto front")  # fmt: skip
    for point, label in zip(points, frame.labels(points), strict=True):
        _draw_point(axes, point, scale, label)
    if frame.wide:
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xticks(frame.time_ticks(), [seconds(tick) for tick in frame.time_ticks()])
    axes.set_xlim(frame.low_s, frame.high_s)
    _loss_axis(axes.yaxis, scale, 0.055)
    axes.set_ylim(0, 1)
    axes.set_xlabel("seconds per image (median), faster to the left")
    axes.set_ylabel(axis.title[0].lower() + axis.title[1:])
    _legend(axes, points)
    return figure


def _draw_point(axes: "Axes", point: Point, scale: LossScale, label: Label) -> None:
    colour, y = PRINT_COLOURS[point.standing], scale.position(point.loss)
    axes.plot([point.latency_low_s, point.latency_high_s], [y, y], color=colour, linewidth=1.1, alpha=0.6)
    ends = [scale.position(point.loss_low), scale.position(point.loss_high)]
    axes.plot([point.latency_s, point.latency_s], ends, color=colour, linewidth=1.1, alpha=0.6)
    fill, edge, wide = ("white", colour, 1.2) if point.unprofiled else (colour, "white", 0.6)
    axes.plot(point.latency_s, y, marker=MARKERS.get(point.standing, "s"), markerfacecolor=fill, markersize=6.5,
              markeredgecolor=edge, markeredgewidth=wide, linestyle="none", zorder=3)  # fmt: skip
    if label.shown:
        axes.annotate(point.cell_id, (point.latency_s, y), xytext=(label.dx * _POINTS, -label.dy * _POINTS),
                      textcoords="offset points", fontsize=7, color=INK, ha=label.align, va="center")  # fmt: skip


def _legend(axes: "Axes", points: tuple[Point, ...]) -> None:
    for standing in (name for name in PATHS if any(point.standing == name for point in points)):
        axes.plot([], [], marker=MARKERS.get(standing, "s"), color=PRINT_COLOURS[standing], linestyle="none",
                  label=WORDS[standing])  # fmt: skip
    if any(point.unprofiled for point in points):
        axes.plot([], [], marker="o", markerfacecolor="white", markeredgecolor=MUTED, linestyle="none",
                  label="hollow: unprofiled")  # fmt: skip
    columns = min(6, len(axes.get_legend_handles_labels()[0]))
    # Above the axes: a mark may lie in any corner.
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, fontsize=8)


def forest_figure(loaded: LoadedRun, facts: tuple[Facts, ...]) -> "Figure | None":
    """Return every judged loss with its interval against its own margin, or None where there is none."""
    gated = [found for found in ordered_losses(loaded, facts) if found.rule and isinstance(found.value, Interval)]
    kinds = list(dict.fromkeys(_kind(found) for found in gated))
    gated = sorted(gated, key=lambda found: ("warning" in _kind(found), kinds.index(_kind(found))))[:_MOST_ROWS]
    if not gated:
        return None
    figure, axes = _new(7.2, 0.9 + 0.2 * len(gated))
    scale = choose_scale(gated)
    axes.axvline(scale.position(0.0), color=HAIR, linewidth=1, zorder=0)
    for row, found in enumerate(gated):
        _draw_loss(axes, row, found, scale)
    names = [f"{found.delta.cell_id}   {_kind(found)}" for found in gated]
    axes.set_yticks(range(len(gated)), names, fontsize=7.5)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(gated) - 0.4, -0.6)
    axes.set_xlim(0, 1.01)
    _loss_axis(axes.xaxis, scale, 0.08)
    axes.set_xlabel("loss with its 95 % interval; thin: the verdict’s own bounds; dashed: the margin", fontsize=8)
    return figure


def _kind(gated: GatedLoss) -> str:
    """Return what a row shows: the metric, and whether it is a relative change or only a warning."""
    what = f"{gated.delta.metric} change" if gated.quantity == "change" else gated.delta.metric
    return f"{what} (warning)" if gated.rule and gated.rule.severity == "warning" else what


def _draw_loss(axes: "Axes", row: int, gated: GatedLoss, scale: LossScale) -> None:
    loss, result = gated.value, gated.verdict.result if gated.verdict else "unjudged"
    assert isinstance(loss, Interval)
    colour = PRINT_COLOURS[result]
    for limit in gated.limits:
        axes.plot([scale.position(limit)] * 2, [row - 0.5, row + 0.5], color=PRINT_COLOURS["fail"], linewidth=1,
                  linestyle=(0, (3, 2)))  # fmt: skip
    axes.plot([scale.position(end) for end in find_bounds(gated)], [row, row], color=colour, linewidth=0.7)
    axes.plot([scale.position(loss.low), scale.position(loss.high)], [row, row], color=colour, linewidth=1.8)
    axes.plot(scale.position(loss.estimate), row, marker=MARKERS.get(result, "s"), color=colour, markersize=5,
              markeredgecolor="white", markeredgewidth=0.5)  # fmt: skip


def stages_figure(facts: tuple[Facts, ...]) -> "Figure | None":
    """Return the median time of each stage per cell, or None where nothing was timed."""
    timed = [(cell.id, cell.timing) for cell in facts if not isinstance(cell.timing, Absent) and cell.timing.stages_s]
    timed = timed[:_MOST_ROWS]
    if not timed:
        return None
    names = list(dict.fromkeys(name for _, timing in timed for name in timing.stages_s))
    figure, axes = _new(7.2, 1.1 + 0.27 * len(timed))
    left = [0.0] * len(timed)
    for name, colour in zip(names, STAGE_COLOURS * 3, strict=False):
        widths = [timing.stages_s.get(name, 0.0) / timing.batch for _, timing in timed]
        axes.barh(range(len(timed)), widths, left=left, height=0.62, color=colour, label=name.replace("_", " "))
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for row, total in enumerate(left):
        axes.annotate(seconds(total), (total, row), xytext=(4, 0), textcoords="offset points", va="center",
                      fontsize=7.5, color=MUTED)  # fmt: skip
    axes.set_yticks(range(len(timed)), [cell for cell, _ in timed], fontsize=7.5)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(timed) - 0.4, -0.6)
    axes.set_xlim(0, max(left) * 1.1)
    axes.set_xlabel("seconds per image (median)")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(names), fontsize=8)
    return figure


def draw_figures(loaded: LoadedRun, facts: tuple[Facts, ...]) -> dict[str, bytes]:
    """Return file name → content: pareto, forest and stages, each as SVG and PDF; what has no data is left out."""
    from io import BytesIO

    import matplotlib as mpl

    points = recommended(loaded, facts).points
    makers: dict[str, Callable[[], Any]] = {
        "pareto": lambda: pareto_figure(points, loss_axis(loaded)) if points else None,
        "forest": lambda: forest_figure(loaded, facts),
        "stages": lambda: stages_figure(facts),
    }
    files: dict[str, bytes] = {}
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        for name, make in makers.items():
            figure = make()
            for kind in ("svg", "pdf") if figure is not None else ():
                file = BytesIO()
                figure.savefig(file, format=kind, metadata={"Date": None} if kind == "svg" else {"CreationDate": None})
                files[f"{name}.{kind}"] = file.getvalue()
    return files
