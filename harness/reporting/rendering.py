"""Templates and their filters: text that stays text in HTML, Markdown and scripts."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from harness.reporting.text import DOUBT_TITLES
from harness.results.format import format_count, format_margin, format_number, format_value


def make_environment() -> Any:
    """Return the environment of the templates: strict about names, HTML escaped."""
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
        "factor": partial(format_value, unit="factor"),
        "bytes": partial(format_value, unit="bytes"),
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


def read_assets(environment: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the style and the script of a page, joined from these files."""
    from markupsafe import Markup

    texts = {name: Markup(environment.loader.get_source(environment, name)[0]) for name in names}
    return {
        kind: Markup("").join(text for name, text in texts.items() if name.endswith(ending))
        for kind, ending in (("style", ".css"), ("script", ".js"))
    }


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
