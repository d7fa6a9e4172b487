"""Write everything a report consists of."""

import time
from pathlib import Path

from harness.reporting.charts import pareto_spec
from harness.reporting.facts import all_facts
from harness.reporting.figures import draw_figures
from harness.reporting.html import render_page, render_text
from harness.reporting.loaded import load
from harness.reporting.rows import csv_text, rows
from harness.reporting.runtime import vega_runtime
from harness.reporting.view import build_view
from harness.reporting.wall_time import build_wall_time
from harness.store.write import write_atomically


def write_report(run: Path, out: Path) -> Path:
    """Write index.html, report.md, results.csv and figures/ of a run to `out`; return out/index.html.

    A run that is not finished, not evaluated or not judged gets the page of what is known. Raises ResultsError
    where the results cannot be read and MachineError where `out` cannot be written.
    """
    started = time.perf_counter()
    loaded = load(run)
    facts = all_facts(loaded)
    for name, data in draw_figures(loaded, facts).items():
        _write(out / "figures" / name, data)
    _write(out / "results.csv", csv_text(rows(loaded, facts)).encode())
    page = build_view(loaded, facts, report_s=0.0, out=out)
    chart = pareto_spec(page.points, page.anchors, page.axis) if page.points else None
    runtime = vega_runtime() if chart else ""
    wall_time = build_wall_time(loaded, report_s=time.perf_counter() - started)
    page = page.model_copy(update={"wall_time": wall_time})
    _write(out / "report.md", render_text("report.md.j2", page).encode())
    index = out / "index.html"
    _write(index, render_page(page, chart, runtime).encode())
    return index


def _write(path: Path, data: bytes) -> None:
    write_atomically(path, data, "--out")
