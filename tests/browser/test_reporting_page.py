"""The report page in a real browser: no errors, no requests, sorting, filtering, the chart, narrow and dark screens."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.reporting import write_report
from tests.builders.chromium import CHROMIUM, open_browser, watch
from tests.builders.reporting_example import make_run

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    return write_report(make_run(folder / "results"), folder / "reports")


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
    opened.wait_for_selector("html[data-chart=drawn]")
    yield opened
    opened.close()


def shown_cells(page: Any) -> list[str]:
    return [row.inner_text().splitlines()[0] for row in page.locator("#table tbody tr:visible th").all()]


def test_page_opens_offline_without_errors(page: Any, index: Path, seen: dict[str, list[str]]) -> None:
    assert page.locator("h1").inner_text() == "4 of 11 cells may ship."
    assert seen["errors"] == []
    assert [url for url in seen["requests"] if not url.startswith("data:")] == [index.as_uri()]


def test_table_sorts_by_keyboard_and_keeps_absent_last(page: Any) -> None:
    speedup = page.get_by_role("button", name="Speedup")
    speedup.focus()
    page.keyboard.press("Enter")
    assert shown_cells(page)[0] == "50-steps_128px"
    page.keyboard.press("Enter")
    assert shown_cells(page)[0] == "4-steps_lcm-lora_bf16"
    assert set(shown_cells(page)[-2:]) == {"50-steps_fp16", "4-steps_lcm-lora_bf16_inductor"}
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("Speedup")


def test_table_filters_by_words_and_verdicts(page: Any) -> None:
    page.get_by_placeholder("Filter").fill("lcm bf16")
    assert set(shown_cells(page)) == {"4-steps_lcm-lora_bf16", "4-steps_lcm-lora_bf16_inductor"}
    page.locator(".pill[data-standing=failed]").click()
    assert shown_cells(page) == ["4-steps_lcm-lora_bf16"]
    assert page.locator("#shown").inner_text() == "1 of 12 cells"


def test_point_shows_its_values_and_links_to_its_cell(page: Any) -> None:
    section = page.locator("[id='cell-4-steps_lcm-lora']")
    assert section.get_attribute("open") is None
    point = page.locator("#pareto-chart [aria-label^='4-steps_lcm-lora, pass']")
    point.hover(force=True)
    assert "4-steps_lcm-lora" in page.locator("#tooltip").inner_text()
    assert "speedup" in page.locator("#tooltip").inner_text()
    point.click(force=True)
    page.wait_for_selector("[id='cell-4-steps_lcm-lora'][open]")
    assert page.url.endswith("#cell-4-steps_lcm-lora")
    assert 0 <= section.bounding_box()["y"] < 400


def test_an_address_opens_the_section_it_names(browser: Any, index: Path) -> None:
    page = browser.new_page()
    page.goto(f"{index.as_uri()}#cell-8-steps")
    page.wait_for_selector("[id='cell-8-steps'][open]")
    assert page.locator("[id='cell-8-steps'] img").count() == 2 * (8 + 5)
    page.close()


@pytest.mark.parametrize("width", [400, 500, 1280])
def test_page_never_scrolls_sideways(browser: Any, index: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(index.as_uri())
    page.wait_for_selector("html[data-chart=drawn]")
    page.get_by_role("button", name="Open all").click()
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_dark_mode_reaches_page_and_chart(browser: Any, index: Path) -> None:
    colours = {}
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(index.as_uri())
        page.wait_for_selector("html[data-chart=drawn]")
        label = "getComputedStyle(document.querySelector('#pareto-chart .role-axis-label text')).fill"
        paper = "getComputedStyle(document.body).backgroundColor"
        colours[scheme] = (page.evaluate(paper), page.evaluate(label))
        page.close()
    assert colours["light"] == ("rgb(247, 246, 243)", "rgb(98, 107, 122)")
    assert colours["dark"] == ("rgb(19, 22, 27)", "rgb(155, 164, 179)")


def test_page_is_readable_without_scripts(browser: Any, index: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(index.as_uri())
    assert page.locator("#table tbody tr").count() == 12
    assert page.locator("img").first.is_visible()
    context.close()


def opened(page: Any, cell_id: str, drawing: str) -> Any:
    """Open a cell's section and return one of its drawings."""
    page.evaluate("(id) => { document.getElementById(id).open = true; }", f"cell-{cell_id}")
    found = page.locator(f"[id='cell-{cell_id}'] {drawing}.explore")
    found.scroll_into_view_if_needed()
    return found


@pytest.mark.parametrize(
    ("drawing", "first", "second"),
    [
        (".blocks", "Block 1, baseline, round 1: 2 calls", "Block 2, cell, round 1: 2 calls"),
        (".flame", "text encoder: ", "denoiser: "),
    ],
)
def test_drawings_can_be_read_by_keyboard(page: Any, drawing: str, first: str, second: str) -> None:
    found = opened(page, "20-steps", drawing)
    readout = found.locator("xpath=..").locator(".readout")
    resting = readout.inner_text()
    found.focus()
    page.keyboard.press("ArrowRight")
    assert readout.inner_text().startswith(first)
    page.keyboard.press("ArrowRight")
    assert readout.inner_text().startswith(second) and found.locator("i.on").count() == 1
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    last = readout.inner_text()
    page.keyboard.press("Home")
    assert readout.inner_text().startswith(first) != last.startswith(first)
    page.keyboard.press("Tab")
    assert readout.inner_text() == resting and found.locator("i.on").count() == 0


def test_drawings_are_read_out_by_pointer_and_finger(page: Any) -> None:
    found = opened(page, "50-steps_bf16", ".blocks")
    readout = found.locator("xpath=..").locator(".readout")
    found.locator("i.redone").hover()
    assert "timed again: the GPU was slowed: hw thermal slowdown" in readout.inner_text()
    page.mouse.move(2, 2)
    assert readout.inner_text().startswith("Each call against the median of its side")
    found.locator("i.theirs").first.dispatch_event("pointerdown", {"pointerType": "touch", "bubbles": True})
    assert readout.inner_text().startswith("Block 1, baseline")


@pytest.mark.parametrize("width", [360, 1280])
def test_timeline_and_blocks_stay_in_their_frames(browser: Any, index: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(index.as_uri())
    for drawing in (".blocks", ".flame"):
        box = opened(page, "20-steps", drawing).bounding_box()
        pieces = page.locator(f"[id='cell-20-steps'] {drawing}.explore i").all()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
        for piece in pieces:
            inside = piece.bounding_box()
            assert inside["x"] >= box["x"] - 1 and inside["x"] + inside["width"] <= box["x"] + box["width"] + 1
    page.close()


def test_a_trace_can_be_reached_from_its_cell(page: Any, index: Path) -> None:
    opened(page, "20-steps", ".flame")
    link = page.locator("[id='cell-20-steps'] a[download]")
    target = page.evaluate("(link) => link.href", link.element_handle())
    assert Path(target.removeprefix("file://")).read_bytes() == b"a trace"
