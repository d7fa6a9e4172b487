"""The trend page in a real browser: offline, drawn, read by keyboard and pointer, filtered, narrow and dark."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.nightly.simulated_nights import NIGHTS, name_night
from harness.reporting.trend_files import write_trend
from tests.builders.chromium import CHROMIUM, open_browser, watch
from tests.builders.trend_nights import known_nights

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")
NEWEST = name_night(NIGHTS - 1)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trend")
    report = root / "reports" / NEWEST / "index.html"
    report.parent.mkdir(parents=True)
    report.write_text("<title>that night</title>", encoding="utf-8")
    return write_trend(*known_nights(), root / "reports" / "nightly-demo" / "trend", root / "results")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    yield from open_browser(sync_api)


@pytest.fixture
def seen() -> dict[str, list[str]]:
    return {"errors": [], "requests": []}


@pytest.fixture
def page(browser: Any, index: Path, seen: dict[str, list[str]]) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.set_default_timeout(60_000)
    watch(opened, seen)
    opened.goto(index.as_uri())
    opened.wait_for_selector("html[data-trend=ready]")
    yield opened
    opened.close()


def first_plot(page: Any) -> Any:
    plot = page.locator("#regressions .plot").first
    plot.scroll_into_view_if_needed()
    page.wait_for_selector("#regressions .plot svg")
    return plot


def test_opens_offline_without_errors(page: Any, index: Path, seen: dict[str, list[str]]) -> None:
    assert page.locator("h1").inner_text() == "3 regressions since 27 October, 1 of them new."
    assert seen == {"errors": [], "requests": [index.as_uri()]}


def test_drawings_hold_every_night(page: Any) -> None:
    first_plot(page)
    figure = page.locator("#regressions figure").first
    assert figure.locator(".value").count() + figure.locator(".beyond").count() == NIGHTS
    assert figure.locator(".flag").all_text_contents()[0].startswith("+")
    assert figure.locator("rect.band").count() >= 1


def test_nights_are_read_by_keyboard(page: Any) -> None:
    first_plot(page).focus()
    readout = page.locator("#regressions .readout").first
    page.keyboard.press("End")
    assert readout.inner_text().startswith("30 November: 3.")
    page.keyboard.press("ArrowLeft")
    assert readout.inner_text().startswith("29 November: 3.")
    page.keyboard.press("Home")
    assert readout.inner_text().startswith("3 August: ")
    page.keyboard.press("Escape")
    assert readout.inner_text().startswith("Point at a night")


def test_a_night_leads_to_its_report(page: Any) -> None:
    first_plot(page).focus()
    page.keyboard.press("End")
    link = page.locator("#regressions .readout a").first
    assert link.get_attribute("href") == f"../../{NEWEST}/index.html"
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{NEWEST}/index.html")
    assert page.title() == "that night"


def test_nights_are_read_by_pointer(page: Any) -> None:
    plot = first_plot(page)
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 16, box["y"] + 60)
    assert page.locator("#regressions .readout").first.inner_text().startswith("30 November")


def test_a_series_opens_large_and_leads_to_its_change(page: Any) -> None:
    page.locator("#all tr", has_text="4-steps_lcm-lora").locator(".spark").nth(1).press("Enter")
    dialog = page.locator("#series-dialog")
    assert dialog.is_visible()
    assert dialog.locator("#series-about").inner_text() == "Cold start"
    assert dialog.locator(".value").count() == NIGHTS
    dialog.locator("#series-changes a").click()
    assert not dialog.is_visible()
    assert page.evaluate("document.activeElement.id") == page.url.partition("#")[2] != ""


def test_table_filters_by_words_and_changes(page: Any) -> None:
    rows = page.locator("#all tbody tr:visible th")
    page.locator("#changed").click()
    assert "25-steps_fp16" not in rows.all_inner_texts() and rows.count() == 5
    page.get_by_placeholder("Filter").fill("quanto")
    assert rows.all_inner_texts() == ["50-steps_fp8-quanto"]
    assert page.locator("#shown").inner_text() == "1 of 6 cells"


@pytest.mark.parametrize("width", [400, 500, 1280])
def test_never_scrolls_sideways(browser: Any, index: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(index.as_uri())
    page.wait_for_selector("html[data-trend=ready]")
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_dark_mode_needs_no_other_page(browser: Any, index: Path) -> None:
    colours = set()
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(index.as_uri())
        first_plot(page)
        colours.add(page.evaluate("getComputedStyle(document.querySelector('.trend .level')).stroke"))
        page.close()
    assert len(colours) == 2


def test_readable_without_scripts(browser: Any, index: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(index.as_uri())
    assert page.locator("#regressions h3").count() == 3
    assert page.locator(".spark svg").first.is_visible()
    context.close()
