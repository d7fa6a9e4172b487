"""The page of a run, for tests that read what people will."""

from pathlib import Path

from harness.reporting.facts import all_facts
from harness.reporting.html import render_page
from harness.reporting.loaded import load
from harness.reporting.view import Page, build_view


def page_of(run: Path) -> tuple[Page, str]:
    """Return the page of a run and its HTML, without the chart and the print figures."""
    loaded = load(run)
    page = build_view(loaded, all_facts(loaded), report_s=1.0)
    return page, render_page(page, None, "")
