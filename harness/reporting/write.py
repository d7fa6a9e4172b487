"""Write a report: page, Markdown, CSV and print figures, from the page's model and templates."""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from harness.core.trace import BETWEEN
from harness.reporting.figures import draw_figures
from harness.reporting.layout import PATHS
from harness.reporting.page import Page, build_page
from harness.reporting.pareto_chart import bundle_vega, make_pareto_spec
from harness.reporting.text import DOUBT_TITLES, KERNEL_FAMILIES, name_loss_axis
from harness.reporting.wall_time import build_wall_time
from harness.results import Run
from harness.results.columns import write_csv
from harness.results.format import format_count, format_margin, format_number, format_value
from harness.store.write import write_atomically

_ASSETS = ("style.css", "drawings.css", "page.js", "drawings.js")


def write_report(folder: Path, out: Path) -> Path:
    """Write index.html, report.md, results.csv and figures/ of a run; return the index.

    An unfinished, unevaluated or unjudged run gets the page of what is known. Raises ResultsError
    if the results cannot be read and MachineError if `out` cannot be written.
    """
    started = time.perf_counter()
    run = Run.load(folder)
    page = build_page(run, report_s=0.0, out=out)
    for name, data in draw_figures(run, page.unprofiled).items():
        _write(out / "figures" / name, data)
    _write(out / "results.csv", write_csv(run).encode())
    chart = make_pareto_spec(run, page.anchors, page.unprofiled) if run.pareto_points else None
    runtime = bundle_vega() if chart else ""
    wall_time = build_wall_time(run, report_s=time.perf_counter() - started)
    page = page.model_copy(update={"wall_time": wall_time})
    _write(out / "report.md", render_text("report.md.j2", page).encode())
    index = out / "index.html"
    _write(index, render_page(page, chart, runtime).encode())
    return index


def _write(path: Path, data: bytes) -> None:
    write_atomically(path, data, "--out")


def render_page(page: Page, chart: dict[str, Any] | None, runtime: str) -> str:
    """Return the HTML of a page that needs no network.

    `chart` is a Vega-Lite specification, `runtime` the script that draws it.
    """
    from markupsafe import Markup

    environment = _make_environment()
    assets = {name: Markup(environment.loader.get_source(environment, name)[0]) for name in _ASSETS}
    html = environment.get_template("page.html.j2").render(
        page=page,
        axis_title=name_loss_axis(page.axis).capitalize(),
        paths=PATHS,
        families=KERNEL_FAMILIES,
        between=BETWEEN,
        style=assets["style.css"] + assets["drawings.css"],
        script=assets["page.js"] + assets["drawings.js"],
        chart=Markup(embed_json(chart)) if chart else None,
        runtime=Markup(runtime),
    )
    return str(html)


def render_text(template: str, page: Page) -> str:
    """Return a text template, such as report.md, without HTML escapes."""
    environment = _make_environment()
    environment.autoescape = False
    return str(environment.get_template(template).render(page=page)).rstrip() + "\n"


def _make_environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.reporting"),
        autoescape=jinja2.select_autoescape(["html.j2"], default_for_string=True),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "seconds": partial(format_value, unit="seconds"),
        "share": partial(format_value, unit="share"),
        "count": format_count,
        "number": format_number,
        "interval": format_value,
        "margin": format_margin,
        "words": lambda name: name.replace("_", " "),
        "doubt": DOUBT_TITLES.__getitem__,
        "md": escape_markdown,
        "whole": join_percentages,
    }
    environment.filters.update(filters)
    return environment


def escape_markdown(text: str) -> str:
    """Return text that stays text in a Markdown table: no cell breaks, no markup, no HTML."""
    for letter in "\\|<>*_`[]":
        text = text.replace(letter, f"\\{letter}")
    return " ".join(text.split())


def join_percentages(text: str) -> str:
    """Return text whose percentages do not break across lines."""
    return text.replace(" %", "\u00a0%")


def embed_json(value: Any) -> str:
    """Return JSON that cannot end the script element it stands in."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
