"""The report's view model: right numbers, honest absences, every state of a run, and no request to anywhere."""

import json
import re
from pathlib import Path
from statistics import median

import pytest

from harness.core.quality import Interval
from harness.core.units import Absent
from harness.reporting import frame, write_report
from harness.reporting.answer import build_answer
from harness.reporting.figures import draw_figures
from harness.reporting.images import embed_image
from harness.reporting.page import list_not_drawn, make_anchors, render_text
from harness.reporting.quality import build_forest
from harness.reporting.rendering import embed_json, escape_markdown
from harness.reporting.wall_time import build_wall_time
from harness.results import CellResult, Run
from harness.results.columns import write_csv
from harness.results.losses import WorstLoss
from harness.store.layout import RunFolder
from tests.builders.reporting_cells import BASELINE, CELLS, Made, Scene
from tests.builders.reporting_example import MATRIX_TEXT, make_run
from tests.builders.reporting_page import page_of

HOSTILE = '"><script>alert(1)</script> & 50 %_[x]|`'


def test_figures_of_a_cell_follow_from_its_raw_samples(cells: dict[str, CellResult]) -> None:
    cell = cells["4-steps_lcm-lora"]
    assert cell.samples is not None and not isinstance(cell.latency, Absent) and not isinstance(cell.stages_s, Absent)
    middle = median(repeat.latency_s for repeat in cell.samples.repeats)
    latency = cell.latency.median_s
    assert latency.estimate == pytest.approx(middle, rel=0.005)
    assert latency.low <= middle <= latency.high
    assert cell.images_per_s == pytest.approx(1 / latency.estimate)
    assert isinstance(cell.speedup, Interval)
    paired = [repeat.latency_s for block in cell.samples.pairing.of("baseline") for repeat in block.repeats]
    assert cell.speedup.estimate == pytest.approx(median(paired) / middle, rel=0.01)
    assert sum(cell.stages_s.values()) >= middle * 0.999


def test_speed_is_compared_per_image(tmp_path: Path) -> None:
    batched = Made("50-steps_batch-4", ("50", "none", "fp32", "eager", "64x64", "4"), 2.0)
    cell = Run.load(make_run(tmp_path / "results", (CELLS[0], batched))).cells[1]
    assert not isinstance(cell.latency, Absent)
    assert isinstance(cell.image_s, Interval) and isinstance(cell.speedup, Interval)
    assert cell.image_s.estimate == pytest.approx(cell.latency.median_s.estimate / 4)
    assert cell.images_per_s == pytest.approx(4 / cell.latency.median_s.estimate)
    assert cell.speedup.estimate == pytest.approx(0.982 * 4 / 2.0, rel=0.05)


def test_worst_loss_counts_only_metrics_that_gate(cells: dict[str, CellResult]) -> None:
    worst = cells["20-steps"].worst_loss
    assert isinstance(worst, WorstLoss)
    assert worst.metric in ("fid:bundled", "clip:bundled")  # LPIPS is reported only: the trajectory changed
    assert worst.loss == cells["20-steps"].deltas[worst.metric].loss
    assert isinstance(cells[BASELINE].worst_loss, Absent)


def test_standings_separate_missing_verdicts(cells: dict[str, CellResult]) -> None:
    standings = {cell_id: cell.standing for cell_id, cell in cells.items()}
    assert standings[BASELINE] == "baseline"
    assert standings["50-steps_bf16"] == "pass"
    assert standings["4-steps"] == "fail"
    assert standings["4-steps_lcm-lora_bf16"] == "inconclusive"
    assert standings["50-steps_fp16"] == "skipped"
    assert standings["4-steps_lcm-lora_bf16_inductor"] == "failed"


def test_answer_names_the_fastest_cell_that_may_ship(loaded: Run) -> None:
    answer = build_answer(loaded)
    assert answer.kind == "pass"
    assert answer.headline == "4 of 11 cells may ship."
    assert answer.best == "4-steps_lcm-lora"
    assert re.fullmatch(r": 9\.\d+× faster, worst loss 1\.\d % \[[\d.]+, [\d.]+\] .+ \(.+\)\.", answer.after)
    assert any(re.search(r"2 cells are inconclusive: about [\d,]+ prompts would decide all of them", text)
               for text in answer.sentences)  # fmt: skip


def test_front_holds_no_cell_that_another_beats(loaded: Run) -> None:
    points = loaded.pareto_points.values()
    places = {point.cell.id: (point.image_s.estimate, point.loss.estimate) for point in points}
    for point in points:
        mine = places[point.cell.id]
        beaten = any(other != mine and other[0] <= mine[0] and other[1] <= mine[1] for other in places.values())
        assert point.on_front is not beaten
    left_out = list_not_drawn(loaded)
    assert len(left_out) + len(points) == len(loaded.cells)
    assert any(text.startswith("50-steps_fp16 (") and "native" in text for text in left_out)


def test_forest_separates_gating_from_reported_metrics(loaded: Run) -> None:
    panels = {panel.metric: panel for panel in build_forest(loaded)}
    assert {row.cell_id for row in panels["lpips:bundled"].judged.rows} == {"50-steps_bf16", "50-steps_inductor"}
    assert len(panels["fid:bundled"].judged.rows) == 9
    for row in panels["fid:bundled"].judged.rows:
        assert 0 <= row.bounds[0] <= row.low <= row.at <= row.high <= row.bounds[1] <= 100
        (margin,) = row.limits
        assert (row.standing == "pass") is (row.bounds[1] < margin)
    assert [tick.label for tick in panels["fid:bundled"].judged.ticks if tick.is_margin] == ["5 %"]


def test_ledger_adds_up(loaded: Run) -> None:
    found = build_wall_time(loaded, report_s=2.0)
    assert sum(row.wall_s for row in found.rows) == pytest.approx(found.total_s)
    assert sum(row.share for row in found.rows) == pytest.approx(1)
    walls = {row.name: row.wall_s for row in found.rows}
    run_s = dict(loaded.times)["run"]
    inside = sum(walls[name] for name in walls if name not in ("Scoring", "This report", "The harness itself"))
    assert walls["The harness itself"] == pytest.approx(run_s - inside + 0.04 + 0.06)
    assert found.notes == ()


def test_ledger_says_when_the_run_was_interrupted(loaded: Run) -> None:
    from dataclasses import replace

    found = build_wall_time(replace(loaded, times=(("run", 1.0),)), report_s=0.0)
    assert "interrupted" in found.notes[0]
    assert "The harness itself" not in {row.name for row in found.rows}


def test_frame_has_a_row_per_cell_with_reasons(run: Path) -> None:
    table = frame(run).set_index("cell")
    assert len(table) == len(CELLS)
    assert {"steps", "precision", "latency_s", "p95_s", "speedup_low", "verdict", "fid:bundled/loss"} <= set(table)
    assert table.loc["4-steps_lcm-lora", "speedup"] == pytest.approx(9.8, rel=0.03)
    assert table.loc["4-steps_lcm-lora", "verdict"] == "pass"
    assert table.loc["50-steps_fp16", ["latency_s", "peak_memory_bytes"]].isna().all()
    assert "native" in table.loc["50-steps_fp16", "absent"]
    assert "psnr/literal: the baseline" in table.loc["20-steps", "absent"]


def test_csv_writes_absent_figures_as_empty_fields(loaded: Run) -> None:
    text = write_csv(loaded)
    assert "nan" not in text.lower() and "None" not in text
    assert len(text.splitlines()) == len(CELLS) + 1


def test_page_makes_no_request(run: Path) -> None:
    _, html = page_of(run)
    assert "default-src 'none'" in html
    for attribute in re.findall(r'\b(?:src|href|action|poster|data|srcset)="([^"]*)"', html):
        assert attribute.startswith(("#", "data:image/", "../../results/")), attribute  # a trace, for who clicks
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert "<link" not in html


def test_text_from_outside_is_escaped(tmp_path: Path) -> None:
    cells = (CELLS[0], CELLS[1]._replace(settings=("50", "none", HOSTILE, "eager", "64x64", "1")))
    page, html = page_of(make_run(tmp_path / "results", cells))
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert page.matrix_text == MATRIX_TEXT
    assert "# &lt;no native fp16 here&gt; &amp; &#34;quotes&#34;" in html
    markdown = render_text("report.md.j2", page)
    assert "<script>" not in markdown.replace("\\<script\\>", "")
    assert "</script" not in embed_json({"name": HOSTILE})
    assert json.loads(embed_json({"name": HOSTILE})) == {"name": HOSTILE}


def test_markdown_cells_cannot_break_the_table() -> None:
    assert escape_markdown("a|b\n<i>_x_") == "a\\|b \\<i\\>\\_x\\_"


def test_anchors_are_safe_and_unique(tmp_path: Path) -> None:
    cells = (CELLS[0], CELLS[1]._replace(id="a b+c"), CELLS[2]._replace(id="a b=c"))
    anchors = make_anchors(Run.load(make_run(tmp_path / "results", cells)).cells)
    assert len(set(anchors.values())) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", anchor) for anchor in anchors.values())


@pytest.mark.parametrize(("evaluated", "judged", "command"), [(False, False, "evaluate"), (True, False, "gate")])
def test_page_without_verdicts_names_the_next_command(
    tmp_path: Path, evaluated: bool, judged: bool, command: str
) -> None:
    run = make_run(tmp_path / "results", CELLS[:4], Scene(evaluated=evaluated, judged=judged))
    page, html = page_of(run)
    assert page.answer.kind == "unjudged"
    assert page.answer.headline == "Measured, not judged."
    assert f"harness {command} {run.name}" in html
    assert page.has_points is evaluated


def test_page_without_a_baseline_says_so(tmp_path: Path) -> None:
    cells = (CELLS[0]._replace(state="failed"), *CELLS[1:3])
    page, _ = page_of(make_run(tmp_path / "results", cells, Scene(evaluated=False)))
    assert page.answer.headline == "No answer."
    assert "50-steps has no result" in page.answer.sentences[0]
    shown = next(cell for cell in page.cells if cell.id == "50-steps_bf16")
    assert shown.own and not shown.pairs


def test_page_where_every_cell_failed(tmp_path: Path) -> None:
    cells = tuple(made._replace(state="failed") for made in CELLS[:3])
    run = make_run(tmp_path / "results", cells, Scene(evaluated=False))
    page, html = page_of(run)
    assert not page.has_points and not page.sheet
    assert "Install g++" in html
    assert draw_figures(Run.load(run)) == {}


def test_page_of_a_run_that_has_not_begun(tmp_path: Path) -> None:
    cells = tuple(made._replace(state="pending") for made in CELLS[:3])
    page, _ = page_of(make_run(tmp_path / "results", cells, Scene(evaluated=False)))
    assert page.answer.headline == "No answer."
    assert {cell.standing for cell in page.cells} == {"pending"}


def test_page_of_the_baseline_alone(tmp_path: Path) -> None:
    page, _ = page_of(make_run(tmp_path / "results", CELLS[:1]))
    assert page.table.rows[0].standing == "baseline"
    assert not page.has_points


def test_nothing_may_ship_names_the_nearest_cell(tmp_path: Path) -> None:
    page, _ = page_of(make_run(tmp_path / "results", (CELLS[0], CELLS[6], CELLS[7])))
    assert page.answer.kind == "fail"
    assert page.answer.headline == "Nothing may ship."
    assert page.answer.best == "8-steps"


def test_no_passing_cell_names_the_required_samples(tmp_path: Path) -> None:
    page, _ = page_of(make_run(tmp_path / "results", (CELLS[0], CELLS[9])))
    assert page.answer.kind == "inconclusive"
    assert page.answer.headline == "Nothing may ship yet."
    assert re.search(r"about [\d,]+ prompts would decide it", page.answer.sentences[0])


@pytest.mark.slow
def test_page_stays_small_with_hundreds_of_cells(tmp_path: Path) -> None:
    many = tuple(CELLS[1]._replace(id=f"50-steps_variant-{index}") for index in range(200))
    page, html = page_of(make_run(tmp_path / "results", (CELLS[0], *many), Scene(prompts=6)))
    assert len(page.cells) == 201
    assert len(html) < 7_000_000  # seven metrics a cell


def test_damaged_image_is_named_not_shown(tmp_path: Path, run: Path) -> None:
    good = next(RunFolder(run).images(BASELINE).iterdir())
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(good.read_bytes()[:200])
    assert embed_image(good, "x").src.startswith("data:image/png;base64,")
    assert embed_image(damaged, "x").src == "" and "unreadable" in embed_image(damaged, "x").problem
    assert "unreadable" in embed_image(tmp_path / "absent.png", "x").problem


def test_large_images_become_thumbnails(tmp_path: Path) -> None:
    from PIL import Image

    large = tmp_path / "large.png"
    Image.effect_noise((1024, 768), 40).convert("RGB").save(large)
    shown = embed_image(large, "x")
    assert shown.src.startswith("data:image/webp;base64,")
    assert len(shown.src) < 90_000


def test_report_writes_all_files(run: Path, tmp_path: Path) -> None:
    index = write_report(run, tmp_path / "out")
    assert index == tmp_path / "out" / "index.html"
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    figures = {f"figures/{name}.{kind}" for name in ("pareto", "forest", "stages") for kind in ("svg", "pdf")}
    assert names == {"index.html", "report.md", "results.csv", "junit.xml"} | figures
    assert (tmp_path / "out" / "figures" / "pareto.pdf").read_bytes().startswith(b"%PDF")
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert text.startswith("# 4 of 11 cells may ship.") and "(index.html)" in text
    assert callable(frame)  # the function, not a submodule that hides it


def test_run_without_scores_says_why(loaded: Run) -> None:
    from dataclasses import replace

    assert loaded.judgement is not None
    cells = tuple(
        verdict.model_copy(update={"result": "missing", "rules": (), "reason": "no metric judges this cell"})
        for verdict in loaded.judgement.cells
    )
    unscored = replace(loaded, judgement=loaded.judgement.model_copy(update={"cells": cells}))
    answer = build_answer(unscored)
    assert answer.headline == "No verdict."
    assert answer.sentences[0] == "9 cells have no verdict: no metric judges this cell."


def test_random_weights_are_never_judged(loaded: Run) -> None:
    from dataclasses import replace

    model = loaded.plan.model.model_copy(update={"quality_applies": False})
    synthetic = replace(loaded, plan=loaded.plan.model_copy(update={"model": model}))
    answer = build_answer(synthetic)
    assert answer.kind == "unjudged"
    assert "random weights" in answer.sentences[0]
