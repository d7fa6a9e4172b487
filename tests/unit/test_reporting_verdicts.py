"""The judgement on the page: sentences, margins, front probability, looks, controls, tails."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from markupsafe import escape

from harness.core.policy import Policy, Sees
from harness.core.quality import Interval
from harness.core.rule import Rule
from harness.reporting import frame
from harness.reporting.answer import build_answer, list_unanswered
from harness.reporting.page import render_text
from harness.reporting.pareto_chart import describe_point, make_pareto_spec
from harness.reporting.quality import build_forest
from harness.reporting.rendering import escape_markdown, join_percentages
from harness.results import Run
from harness.results.losses import WorstLoss
from tests.builders.reporting_example import CELLS, Scene, make_run
from tests.builders.reporting_page import page_of


def test_no_passing_cell_names_the_failed_speed_rule(tmp_path: Path) -> None:
    fast = Policy(name="fast", gate=(Rule(quantity="speedup", at_least=20.0), Rule(margin=0.9)))
    page, html = page_of(make_run(tmp_path / "results", (CELLS[0], *CELLS[4:8]), Scene(policy=fast)))
    assert page.answer.headline == "Nothing may ship."
    assert page.answer.best == "4-steps"  # the fastest comes nearest to a speedup of 20
    assert re.match(
        r": the speedup is 10\.\d+× .*: fails the limit of at least 20× at 95 % confidence\.", page.answer.after
    )
    assert page.answer.sentences[0] == "Not kept: speedup at least 20× in 4 of 4 cells."
    assert "rules on other quantities" in html


def test_each_loss_is_drawn_against_its_own_margin(tmp_path: Path) -> None:
    rules = (Rule(margin=0.05), Rule(margin=0.10, where={"precision": "bf16"}))
    loaded = Run.load(make_run(tmp_path / "results", CELLS[:6], Scene(policy=Policy(name="two", gate=rules))))
    fid = next(panel for panel in build_forest(loaded) if panel.metric == "fid:bundled")
    assert [tick.label for tick in fid.judged.ticks if tick.is_margin] == ["5 %", "10 %"]
    places = {row.cell_id: row.limits for row in fid.judged.rows}
    assert places["20-steps_bf16"] == places["50-steps_bf16"] > places["20-steps"] == places["50-steps_inductor"]
    axis, points = loaded.loss_axis, loaded.pareto_points
    assert axis.relative and axis.margin == 1.0
    worst = loaded.cell("20-steps_bf16").worst_loss
    assert isinstance(worst, WorstLoss)
    assert points["20-steps_bf16"].loss.estimate == pytest.approx(worst.loss.estimate / 0.10)


def test_a_policy_without_a_margin_draws_none(tmp_path: Path) -> None:
    speed = Policy(name="speed", gate=(Rule(quantity="speedup", at_least=1.0),))
    folder = make_run(tmp_path / "results", CELLS[:6], Scene(policy=speed))
    page, html = page_of(folder)
    assert page.axis.margin is None
    assert all(not panel.judged.rows for panel in page.forest)
    assert 'class="limit"' not in html and 'margin-mark" aria' not in html
    assert "abs(datum.value" not in json.dumps(make_pareto_spec(Run.load(folder), page.anchors, page.unprofiled))


def test_two_sided_changes_count_by_size(tmp_path: Path) -> None:
    rules = (Rule(quantity="change", metric="fid", margin=0.02), Rule(quantity="change", metric="clip", margin=0.002))
    loaded = Run.load(make_run(tmp_path / "results", CELLS[:6], Scene(policy=Policy(name="both", gate=rules))))
    points = loaded.pareto_points
    changes = {metric: delta.literal for metric, delta in loaded.cell("20-steps").deltas.items()}
    fid, clip = changes["fid:bundled"], changes["clip:bundled"]
    assert isinstance(fid, Interval) and isinstance(clip, Interval)
    assert points["20-steps"].loss.estimate == pytest.approx(max(abs(fid.estimate) / 0.02, abs(clip.estimate) / 0.002))
    assert points["50-steps_bf16"].loss.low >= 0


def test_front_probability_is_shown_with_the_front(loaded: Run) -> None:
    points = loaded.pareto_points
    again = {name: point.probability for name, point in Run.load(loaded.folder).pareto_points.items()}
    assert again == {name: point.probability for name, point in points.items()}  # drawn alike
    assert all(0 <= point.probability <= 1 for point in points.values())
    assert points["4-steps_lcm-lora_bf16"].probability == 1.0  # the fastest of all
    assert points["50-steps_128px"].probability == 0.0  # slower and worse than the baseline
    near = points["20-steps"]
    assert near.on_front and 0.3 < near.probability < 0.9  # 1.6 % against 1.8 %: a toss
    assert describe_point(near, is_unprofiled=False)[-1].startswith("on the Pareto front with")


def test_adaptive_run_shows_analyses_and_saved_images(tmp_path: Path) -> None:
    interim_analyses = (32, 83, 165, 256)
    cells = (CELLS[0], CELLS[1]._replace(analysis=2), CELLS[7]._replace(analysis=0), CELLS[9])
    run = make_run(tmp_path / "results", cells, Scene(interim_analyses=interim_analyses))
    page, _ = page_of(run)
    made = 256 + 165 + 32 + 256 + 4 + 256  # the rerun has 4 prompts, the other seeds all
    full = 4 * 256 + 4 + 256
    assert page.sampling is not None
    assert page.sampling.sentence.startswith(f"{made} images were generated, {made / full * 100:.0f} % of the {full:,}")
    assert page.sampling.sentence.endswith(f"{full - made} saved")
    assert [(row.passed, row.failed, row.open) for row in page.sampling.interim_analyses] == [
        (0, 1, 0), (0, 0, 0), (1, 0, 0), (0, 0, 1),
    ]  # fmt: skip
    assert "32 to 256 images per cell, as many as its verdict needed" in page.terms
    assert "quality.max" in page.answer.sentences[0]
    assert all(image.src for row in page.sheet for image in row.sheet)  # of prompts that every cell has
    assert all(len(cell.pairs) == 8 for cell in page.cells if cell.standing != "baseline")
    shown = frame(run).set_index("cell")
    assert shown.loc["4-steps", ["images", "prompts", "interim_analysis"]].tolist() == [32, 32, 1]


def test_a_loss_in_identical_images_is_an_alarm(tmp_path: Path) -> None:
    scene = Scene(blind=("clip:bundled",), unsound="fid:bundled")
    page, html = page_of(make_run(tmp_path / "results", CELLS[:3], scene))
    assert [alarm.name for alarm in page.alarms] == ["Do not trust", "Blind"]
    assert "fid:bundled found a loss of 1.2 %" in page.alarms[0].value
    assert "no damage could move it here. Its pass does not count" in html


def test_limits_of_sight_are_a_table_with_images(tmp_path: Path) -> None:
    policy = Policy(sees=(Sees(damage="jpeg", level=1), Sees(damage="blur", level=2)))
    page, html = page_of(make_run(tmp_path / "results", CELLS[:3], Scene(policy=policy)))
    assert page.ladder is not None
    rows = {row.family: row for row in page.ladder.rows}
    assert (rows["blur"].passing, rows["blur"].failing) == ("dose 1", "dose 2")  # 4 %, then 8 %
    assert (rows["blur"].demanded, rows["blur"].noticed) == ("level 2", True)
    assert (rows["jpeg"].demanded, rows["jpeg"].noticed) == ("level 1", False)
    assert len(rows["blur"].images) == 3
    assert not rows["wrong-prompt"].images
    assert rows["hue"].failing == ""
    assert "What these metrics would miss" in html
    assert "blur dose 1" in page.ladder.summary
    assert "| blur | dose 1 | dose 2 |" in render_text("report.md.j2", page)


def test_questions_that_were_not_asked_come_first(tmp_path: Path) -> None:
    run = make_run(tmp_path / "results", CELLS[:3])
    loaded = Run.load(run)
    assert list_unanswered(loaded) == ()
    assert loaded.evaluation is not None
    without = tuple(delta for delta in loaded.evaluation.deltas if delta.metric != "attributes:bundled")
    missing = {"attributes:bundled": "weights are not on this machine"}
    found = replace(loaded, evaluation=loaded.evaluation.model_copy(update={"deltas": without, "missing": missing}))
    sentence = "Not checked: whether images show what their prompts ask for: attributes:bundled is missing, weights"
    assert list_unanswered(found)[0].startswith(sentence)
    assert build_answer(found).sentences[0].startswith(sentence)


def test_worst_images_of_recommended_cells_are_shown(tmp_path: Path) -> None:
    page, html = page_of(make_run(tmp_path / "results"))
    assert page.answer.recommends
    assert page.judge
    assert all(pair.candidate.src for group in page.judge for pair in group.pairs)
    assert f"The worst images of {page.answer.best}" in html


def test_page_markdown_and_csv_agree_on_every_verdict(run: Path) -> None:
    page, html = page_of(run)
    markdown, table = render_text("report.md.j2", page), frame(run).set_index("cell")
    for cell in page.verdicts:
        assert table.loc[cell.id, "verdict"] == cell.standing
        for sentence in cell.deciding:
            assert escape_markdown(sentence.text) in markdown
            assert str(escape(join_percentages(sentence.text))) in html
    assert {"fid:bundled/result", "fid:bundled/upper_bound", "fid:bundled/prompts_needed", "front_probability"} <= set(
        table
    )
    assert page.judged.rules[0].counts == (
        ("pass", "pass", 4),
        ("fail", "fail", 3),
        ("inconclusive", "inconclusive", 2),
    )
    assert "Holm’s correction across 9 cells" in page.judged.rates


def test_warnings_stand_apart_from_what_decides(tmp_path: Path) -> None:
    rules = (Rule(margin=0.05), Rule(quantity="peak-memory-gib", at_most=0.1, severity="warning"))
    page, html = page_of(make_run(tmp_path / "results", CELLS[:3], Scene(policy=Policy(name="w", gate=rules))))
    row = next(cell for cell in page.verdicts if cell.id == "50-steps_bf16")
    assert row.standing == "pass"
    assert [sentence.standing for sentence in row.failing] == ["fail"]
    assert "Warning, not counted: Peak memory is" in html
    section = next(cell for cell in page.cells if cell.id == "50-steps_bf16")
    assert len(section.sentences) == 5 and len(section.cautions) == 1


def test_tails_and_cautions_are_shown(tmp_path: Path) -> None:
    page, html = page_of(make_run(tmp_path / "results", (CELLS[0], CELLS[6]), Scene(notes=("too few images",))))
    tail = {item.name: item for item in page.cells[1].tail}
    assert tail["Broken images"].value == "11 of 256"
    assert tail["Broken images"].note == "at most 7.0 % at 95 % confidence"
    assert "Worst tenth, clip:bundled" in tail
    assert next(panel for panel in page.forest if panel.metric == "fid:bundled").cautions == ("too few images",)
    assert html.count("too few images") == 4  # in the definitions and in the forest, of two metrics
