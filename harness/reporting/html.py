"""One self-contained HTML page: style, scripts, charts and pictures inside, no request to anywhere."""

import json
from typing import Any

from harness.reporting.marks import PATHS
from harness.reporting.view import Page
from harness.reporting.wording import round_share, seconds, share

_ASSETS = ("style.css", "drawings.css", "page.js", "drawings.js")


def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.reporting"),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",), default_for_string=True),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "seconds": seconds,
        "share": share,
        "round_share": round_share,
        "md": escape_markdown,
        "whole": keep_whole,
    }
    return environment


def escape_markdown(text: str) -> str:
    """Return text that stays text in a Markdown table: no cell breaks, no markup, no HTML."""
    for letter in "\\|<>*_`[]":
        text = text.replace(letter, f"\\{letter}")
    return " ".join(text.split())


def keep_whole(text: str) -> str:
    """Return text whose percentages do not break across lines."""
    return text.replace(" %", "\u00a0%")


def embed_json(value: Any) -> str:
    """Return JSON that cannot end the script element it stands in."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def render_page(page: Page, chart: dict[str, Any] | None, runtime: str) -> str:
    """Return the HTML of a page; `chart` is a Vega-Lite specification, `runtime` the script that draws it."""
    from markupsafe import Markup

    environment = _environment()
    assets = {name: Markup(environment.loader.get_source(environment, name)[0]) for name in _ASSETS}
    return str(environment.get_template("page.html.j2").render(
        page=page,
        paths=PATHS,
        style=assets["style.css"] + assets["drawings.css"],
        script=assets["page.js"] + assets["drawings.js"],
        chart=Markup(embed_json(chart)) if chart else None,
        runtime=Markup(runtime),
    ))  # fmt: skip


def render_text(template: str, page: Page) -> str:
    """Return a text template, such as report.md, without HTML escapes."""
    environment = _environment()
    environment.autoescape = False
    return str(environment.get_template(template).render(page=page)).rstrip() + "\n"
