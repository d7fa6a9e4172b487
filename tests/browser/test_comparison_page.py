"""The page of a comparison in a real browser: chart, sorting, filter; no errors or requests."""

from pathlib import Path
from typing import Any

import pytest

from harness import api
from tests.browser.test_reporting_page import browser, pytestmark, watch
from tests.builders.reporting_cells import CELLS
from tests.builders.reporting_example import make_run

__all__ = ["browser", "pytestmark"]
FEW = tuple(made for made in CELLS if made.id in ("50-steps", "20-steps", "50-steps_bf16", "8-steps"))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = [make_run(tmp_path_factory.mktemp(name), FEW) for name in "ab"]
    out = tmp_path_factory.mktemp("page")
    api.compare(*runs, out=out)
    return out / "index.html"


def test_comparison_page_works_in_a_browser(browser: Any, index: Path) -> None:
    seen: dict[str, list[str]] = {"errors": [], "requests": []}
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(60_000)
    watch(page, seen)
    page.goto(index.as_uri())
    page.wait_for_selector("html[data-chart=drawn]")
    marks = page.locator("#pareto-chart svg [aria-roledescription='point']")
    assert marks.count() == 2 * len(FEW)
    marks.last.hover()  # the topmost: both runs have the same figures
    assert "speedup" in page.locator("#tooltip").inner_text()
    page.get_by_role("button", name="Speedup").click()
    page.get_by_role("button", name="Speedup").click()
    speedups = [float(text.split("×")[0]) for text in page.locator("#table tbody td:nth-child(6)").all_inner_texts()]
    assert speedups == sorted(speedups, reverse=True)
    page.fill("#filter", "bf16")
    assert page.locator("#table tbody tr:not([hidden])").count() == 2
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()
    assert seen["errors"] == []
    assert [url for url in seen["requests"] if not url.startswith("file:")] == []
