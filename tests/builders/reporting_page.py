"""The page of a run, for tests that read what people will."""

from pathlib import Path

from harness.reporting.page import Page, build_page, render_page
from harness.results import Run


def page_of(run: Path) -> tuple[Page, str]:
    """Return the page of a run and its HTML, without the chart and the print figures."""
    page = build_page(Run.load(run), report_s=1.0)
    return page, render_page(page, None, "")
