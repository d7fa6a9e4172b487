"""The trend of a history: its answer, groups of changes, page, JUnit XML, JSON, badge and images that moved."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from harness.core.errors import NothingToDo
from harness.core.history import Level, LevelChange, Night
from harness.core.quality import Definition
from harness.history.night import NightRun
from harness.history.table import History
from harness.nightly.simulated_nights import MACHINE, PLANTED, name_night, simulate_nights
from harness.reporting.trend import TrendSource, build_trend
from harness.reporting.trend_changes import group_changes
from harness.reporting.trend_clock import normalize_levels
from harness.reporting.trend_files import write_trend
from harness.reporting.trend_images import find_moved_images
from harness.reporting.trend_text import describe_change, write_answer
from harness.store import write_image_scores
from tests.builders.junit_shape import parse_junit
from tests.builders.scored_run import faint, keep, make_scored_run, washed_out
from tests.builders.trend_nights import known_nights

from harness.core.axis import Setting  # isort: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trend") / "out"
    return write_trend(*known_nights(), out, terms=("1 a month",)).parent


def change(since: int, after: float, **more: object) -> LevelChange:
    """A change of one cell's memory from 100 in a night of the simulated history."""
    before = more.pop("before", 100.0)
    levels = [Level(estimate=x, low=x - 1, high=x + 1, nights=9) for x in (before, after)]  # type: ignore[operator]
    values = {
        "id": f"change {since}", "machine": MACHINE, "cell": "25-steps_fp16", "quantity": "peak_memory",
        "since": name_night(since), "found": name_night(since + 1), "before": levels[0], "after": levels[1],
        "direction": "worse" if after > before else "better", "state": "known",  # type: ignore[operator]
    }  # fmt: skip
    return LevelChange.model_validate(values | more)


def test_history_is_the_same_every_time() -> None:
    first, second = simulate_nights(), simulate_nights()
    assert first.nights == second.nights
    assert all(np.array_equal(a, b) for a, b in zip(first.columns, second.columns, strict=True))


def test_planted_changes_are_in_the_history() -> None:
    history = simulate_nights()
    for planted in PLANTED:
        if planted.shape == "step":
            cell = planted.cell or history.baseline(MACHINE)
            values = history.series(MACHINE, cell, planted.quantity).values
            before, after = values[planted.night - 15 : planted.night], values[planted.night : planted.night + 15]
            moved = np.median(after) - np.median(before)
            wanted = planted.size * (1 if planted.quantity.endswith("/loss") else np.median(before))
            assert moved == pytest.approx(wanted, rel=0.35)


def test_groups_separate_what_is_open() -> None:
    history, changes = known_nights()
    groups = group_changes(history, changes)
    assert [found.cell for found in groups.regressions] == [
        "50-steps_inductor", "50-steps_fp8-quanto", "50-steps_deepcache",
    ]  # fmt: skip
    assert [len(found) for found in (groups.machine, groups.improvements, groups.accepted)] == [1, 1, 1]
    assert groups.suspected == groups.resolved == ()


def test_regression_that_went_away_is_not_open() -> None:
    history = simulate_nights()
    worse, back = change(50, 110), change(80, 101, before=110.0)
    assert group_changes(history, [worse, back]).resolved == (worse,)
    assert group_changes(history, [change(50, 100.5)]).regressions == ()
    partly = change(80, 107, before=110.0)
    assert group_changes(history, [worse, partly]).regressions == (worse,)


def test_drift_found_in_parts_is_one_regression() -> None:
    history = simulate_nights()
    parts = [change(50, 103), change(70, 106, before=103.0, state="new")]
    groups = group_changes(history, parts)
    (found,) = groups.open
    assert [part.id for part in found.parts] == ["change 50", "change 70"]
    assert (found.total.before.estimate, found.total.after.estimate) == (100, 106)
    assert found.total.state == "new" and found.total.since == name_night(50)
    answer = write_answer(history, groups)
    assert answer.sentences[0].startswith("1 regression since 22 September: 25-steps_fp16 needs 6.0 % more memory")
    page = build_trend(TrendSource(history, tuple(parts), Path("out"), None))
    (view,) = page.regressions
    assert view.parts == ("+3.0 % since 22 September", "+2.9 % since 12 October")
    assert {page.views[part.id].anchor for part in parts} == {view.anchor}


def test_changes_of_unknown_nights_are_left_out() -> None:
    stranger = change(50, 110).model_copy(update={"since": "20200101T000000Z_other"})
    assert group_changes(simulate_nights(), [stranger]).regressions == ()


def test_answer_names_regressions_and_counts_others() -> None:
    history, changes = known_nights()
    answer = write_answer(history, group_changes(history, changes))
    first, second = answer.sentences
    assert answer.kind == "fail"
    assert answer.headline.startswith("3 regressions since 27 October")
    assert re.search(r"50-steps_inductor is [4-7]\.\d % slower", first) and "more (clip)" in first
    assert all(words in second for words in ("1 improvement", "1 change of the machine", "1 accepted change"))


@pytest.mark.parametrize(
    ("state", "kind"), [("suspected", "inconclusive"), ("accepted", "pass"), ("new", "fail"), ("known", "fail")]
)
def test_answer_follows_the_state(state: str, kind: str) -> None:
    history = simulate_nights()
    assert write_answer(history, group_changes(history, [change(50, 110, state=state)])).kind == kind


def test_new_slower_machine_is_the_answer() -> None:
    history = simulate_nights()
    slower = change(50, 110, cell="", quantity="latency", state="new")
    answer = write_answer(history, group_changes(history, [slower]))
    assert answer.kind == "fail" and answer.headline == "The machine is 10.0 % slower since 22 September"
    faster = change(50, 90, state="suspected")
    assert write_answer(history, group_changes(history, [faster])).kind == "pass"


def test_machine_is_named_where_there_are_several() -> None:
    assert describe_change(change(50, 110)) == "25-steps_fp16 needs 10.0 % more memory"
    assert describe_change(change(50, 90), is_alone=False).endswith(f"10.0 % less memory on {MACHINE}")


def test_page_needs_no_network(written: Path) -> None:
    html = (written / "index.html").read_text(encoding="utf-8")
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert len(html) < 400_000


def test_levels_are_drawn_on_the_present_clock() -> None:
    history, changes = known_nights()
    page = build_trend(TrendSource(history, changes, Path("out"), None))
    inductor = next(s for s in page.series if s.cell == "50-steps_inductor" and s.quantity == "latency")
    before, after = (step[2] for step in inductor.drawn["steps"])
    present = np.median(history.series(MACHINE, "50-steps_inductor", "latency").values[117:])
    assert after == pytest.approx(present, rel=0.02)
    assert after / before == pytest.approx(1.06, abs=0.015)
    ratios = next(found for found in changes if found.cell == "50-steps_inductor")
    seconds = normalize_levels(history, ratios)
    assert normalize_levels(history, seconds) == seconds


def test_markdown_and_json_share_the_sentences(written: Path) -> None:
    document = json.loads((written / "trend.json").read_text(encoding="utf-8"))
    markdown = (written / "trend.md").read_text(encoding="utf-8")
    assert document["result"] == "fail" and len(document["changes"]) == 6
    assert document["sentences"][0].replace("_", "\\_") in markdown.replace("\\(", "(")
    assert {change["kind"] for change in document["changes"]} == {"worse", "better", "machine", "accepted"}
    assert len(document["levels"]) == 43


def test_junit_fails_new_regressions_only(written: Path) -> None:
    root = parse_junit((written / "junit.xml").read_bytes())
    cases = {(case.get("classname"), case.get("name")): [child.tag for child in case] for case in root.iter("testcase")}
    assert len(cases) == 43
    assert cases["nightly.nightly-demo.50-steps_inductor", "Normalized latency"] == ["failure"]
    assert cases["nightly.nightly-demo.50-steps_deepcache", "Normalized latency"] == ["skipped"]
    assert (root.get("failures"), root.get("errors")) == ("1", "0")


def test_cells_without_figures_are_stated(tmp_path: Path) -> None:
    history, _ = known_nights()
    missing = {"25-steps_fp16": "failed: out of memory", "new": "skipped: needs a GPU"}
    night = history.nights[-1].model_copy(update={"missing": missing})
    write_trend(replace(history, nights=(*history.nights[:-1], night)), (), tmp_path)
    root = parse_junit((tmp_path / "junit.xml").read_bytes())
    found = {
        case.get("classname", "").rpartition(".")[2]: [child.tag for child in case]
        for case in root.iter("testcase") if case.get("name") == "measured"
    }  # fmt: skip
    assert found == {"25-steps_fp16": ["error"], "new": ["skipped"]}
    assert "25-steps_fp16 was not measured on 30 November: failed: out of memory." in (
        tmp_path / "index.html"
    ).read_text(encoding="utf-8")


def test_badge_is_an_image_in_words(written: Path) -> None:
    badge = ElementTree.fromstring((written / "badge.svg").read_text(encoding="utf-8"))
    assert badge.get("aria-label") == "nightly: 3 regressions"


def test_history_without_nights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NothingToDo):
        write_trend(History("empty"), (), tmp_path)


def test_hostile_words_stay_text(tmp_path: Path) -> None:
    history, changes = known_nights()
    bad = "</script><img src=x onerror=alert(1)>"
    hostile = changes[-1].model_copy(update={"causes": (bad,), "why": bad})
    night = history.nights[-1].model_copy(update={"facts": {bad: bad}})
    marked = History(history.lineage, (*history.nights[:-1], night), history.names, history.columns, (bad,))
    index = write_trend(marked, (*changes[:-1], hostile), tmp_path)
    assert bad not in index.read_text(encoding="utf-8")
    assert bad not in (tmp_path / "trend.md").read_text(encoding="utf-8")


def many_nights(cells: int, quantities: int, nights: int) -> Iterator[NightRun]:
    random = np.random.default_rng(1)
    names = ["latency", "cold_start", "peak_memory", "energy", "broken_share"]
    names = [*names, *(f"metric{number}/loss" for number in range(quantities - len(names)))]
    ids = tuple(f"cell-{number}" for number in range(cells))
    for night in range(nights):
        time = datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(days=night)
        about = Night(run=f"run{night:04}", time=time, machine="m", facts={}, cells=ids, baseline=ids[0])
        values = random.normal(1, 0.02, (cells, quantities)).tolist()
        yield NightRun("big", about, [
            (cell, name, value, value - 0.03, value + 0.03, "b=1")
            for cell, row in zip(ids, values, strict=True) for name, value in zip(names, row, strict=True)
        ])  # fmt: skip


def test_large_matrix_makes_a_page_of_few_megabytes(tmp_path: Path) -> None:
    history = History("big").merge(many_nights(40, 12, 120))
    index = write_trend(history, (), tmp_path)
    assert index.stat().st_size < 3_000_000
    assert index.read_text(encoding="utf-8").count('class="spark"') == 480


def test_nights_link_their_reports_if_they_exist(tmp_path: Path) -> None:
    history, changes = known_nights()
    report = tmp_path / "reports" / name_night(119) / "index.html"
    report.parent.mkdir(parents=True)
    report.touch()
    out = tmp_path / "reports" / "nightly-demo" / "trend"
    page = build_trend(TrendSource(history, changes, out, tmp_path / "results"))
    assert [night.href for night in page.machines[0].nights[-2:]] == ["", f"../../{name_night(119)}/index.html"]


def make_pair(root: Path, damages: tuple[object, object]) -> tuple[History, LevelChange]:
    """Two nights of one scored run each, in which the candidate's images differ."""
    history = simulate_nights()
    nights = (name_night(96), name_night(97))
    for run, damage in zip(nights, damages, strict=True):
        made = make_scored_run(
            root / run,
            prompts=4,
            candidates={"c": (Setting(axis="precision", name="bf16"), damage)},  # type: ignore[dict-item]
        )
        made.rename(root / "runs" / run)
    return history, change(97, 110, cell="c", quantity="lpips/loss")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path


def test_same_images_are_stated(runs: Path) -> None:
    history, moved = make_pair(runs, (keep, keep))
    found = find_moved_images(history, moved, runs / "runs")
    assert found is not None and found.pair is None and found.sentence.startswith("All 4 images")


def test_image_that_moved_most_is_shown(runs: Path) -> None:
    history, moved = make_pair(runs, (faint, washed_out))
    found = find_moved_images(history, moved, runs / "runs")
    assert found is not None and found.pair is not None
    assert found.pair.baseline.src.startswith("data:") and found.pair.baseline.src != found.pair.candidate.src
    definition = Definition(
        metric="lpips", kind="paired", question="identity", extractor="x", weights_sha256="", resize="none",
        value_range="", reference="", library="x", better="lower",
    )  # fmt: skip
    for run, values in ((name_night(96), (0.1, 0.5, 0.2, 0.1)), (name_night(97), (0.2, 0.1, 0.9, 0.1))):
        rows = [("c", f"p{number:03}", 0, value) for number, value in enumerate(values)]
        write_image_scores(runs / "runs" / run, "lpips", definition, rows)
    by_score = find_moved_images(history, moved, runs / "runs")
    assert by_score is not None and by_score.pair is not None
    assert by_score.pair.note == "lpips 0.2 → 0.9"


def test_gone_images_are_left_out(tmp_path: Path) -> None:
    assert find_moved_images(simulate_nights(), change(97, 110), tmp_path) is None
