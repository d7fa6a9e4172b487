"""The page for human review in a real browser: 20 pairs by keyboard, saved, exported and added to the run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness.core.review import ReviewKey, ReviewPair
from harness.results import Run
from harness.review import Wish, add_answers, write_review
from tests.builders.chromium import CHROMIUM, open_browser, watch
from tests.builders.reviewed_run import CANDIDATES, CELL
from tests.builders.scored_run import make_scored_run

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")
KEYS = {"left": "ArrowLeft", "right": "ArrowRight"}


class Opened(NamedTuple):
    """A run with the page that was made for it."""

    run: Path
    page: Path
    key: ReviewKey


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    run = make_scored_run(tmp_path_factory.mktemp("review") / "results", prompts=24, candidates=CANDIDATES)
    written = write_review(run, CELL, Wish(pairs=20))
    return Opened(run, written.path, written.key)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    yield from open_browser(sync_api)


@pytest.fixture
def seen() -> dict[str, list[str]]:
    return {"errors": [], "requests": []}


@pytest.fixture
def page(browser: Any, made: Opened, seen: dict[str, list[str]]) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})  # with a storage of its own
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    watch(opened, seen)
    opened.goto(made.page.as_uri())
    yield opened
    context.close()


def begin(page: Any, rater: str) -> None:
    page.fill("#rater", rater)
    page.keyboard.press("Enter")
    wait(page, 0)


def wait(page: Any, place: int) -> None:
    """Wait until both images of a pair are shown; after the last one until the end."""
    page.wait_for_selector(f"html[data-pair='{place}']")


def choose(pair: ReviewPair) -> str:
    """Return the key of a rater who prefers the baseline's and every intact image."""
    if pair.kind == "identical" or pair.marked is None:
        return "="
    if pair.kind == "control":
        return KEYS[pair.marked]
    return KEYS["left" if pair.marked == "right" else "right"]


def press_all(page: Any, key: ReviewKey, start: int = 0) -> None:
    for place, pair in enumerate(key.pairs[start:], start):
        wait(page, place)
        page.keyboard.press(choose(pair))
    wait(page, len(key.pairs))


def save(page: Any, folder: Path) -> Path:
    with page.expect_download() as waiting:
        page.keyboard.press("Enter")  # the button to save has the focus
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def test_twenty_pairs_by_keyboard(page: Any, made: Opened, seen: dict[str, list[str]], tmp_path: Path) -> None:
    begin(page, "Zoë B.")
    page.keyboard.press("2")
    press_all(page, made.key)
    file = save(page, tmp_path)
    (given,) = add_answers(made.run, [file])
    assert given.rater == "Zoë B."
    assert given.answers[0].broken == ("right",)
    assert all(answer.ms >= 0 for answer in given.answers)
    found: Any = Run.load(made.run).cell(CELL).preference
    assert (found.pairs, found.lost, found.counted) == (20, 20, ("Zoë B.",))
    assert found.raters[0].failed == ()
    assert seen["errors"] == []
    assert [url for url in seen["requests"] if url.startswith("http")] == []


def test_undo_returns_to_the_pair_before(page: Any) -> None:
    begin(page, "U")
    page.keyboard.press("ArrowLeft")
    wait(page, 1)
    first = page.locator("#prompt").inner_text()
    page.keyboard.press("=")
    wait(page, 2)
    page.keyboard.press("u")
    wait(page, 1)
    assert page.locator("#prompt").inner_text() == first
    assert page.locator("#progress").inner_text().startswith("2 of ")
    page.keyboard.press("Backspace")
    wait(page, 0)
    assert page.locator("#undo").is_disabled()


def test_answers_outlive_the_page(page: Any, made: Opened, tmp_path: Path) -> None:
    begin(page, "R")
    for place in range(3):
        wait(page, place)
        page.keyboard.press(choose(made.key.pairs[place]))
    wait(page, 3)
    page.reload()
    press_all(page, made.key, start=3)
    assert len(json.loads(save(page, tmp_path).read_text(encoding="utf-8"))["answers"]) == len(made.key.pairs)


def test_zoom_moves_both_images_alike(page: Any) -> None:
    begin(page, "Z")
    page.keyboard.press("z")
    page.keyboard.press("Shift+ArrowRight")
    styles = page.locator(".frame img").evaluate_all(
        "(images) => images.map((image) => [image.style.transform, image.style.transformOrigin])"
    )
    assert styles[0] == styles[1] == ["scale(3)", "60% 50%"]
    page.keyboard.press("Escape")
    assert page.locator(".pair.zoomed").count() == 0
    assert page.locator("#progress").inner_text().startswith("1 of ")  # nothing was answered


def test_two_raters_share_a_browser(page: Any, made: Opened, tmp_path: Path) -> None:
    begin(page, "One")
    press_all(page, made.key)
    page.get_by_role("button", name="Another person answers").click()
    page.wait_for_selector("#start:visible")
    begin(page, "Two")
    assert page.locator("#progress").inner_text().startswith("1 of ")


@pytest.mark.parametrize(("width", "height"), [(360, 640), (844, 390), (1280, 800)])
def test_pair_and_buttons_fit_the_screen(browser: Any, made: Opened, width: int, height: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": height})
    page.goto(made.page.as_uri())
    begin(page, "W")
    for selector in (".frame >> nth=0", ".frame >> nth=1", "[data-choice=left]", "[data-choice=right]"):
        box = page.locator(selector).bounding_box()
        assert box["width"] > 60
        assert box["height"] > 30
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width
        assert 0 <= box["y"] <= box["y"] + box["height"] <= height
    page.close()
