"""The report shows how figures were taken: blocks, the machine meanwhile, memory, energy, traces, what has none."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from markupsafe import escape

from harness.core.matrix import Prices
from harness.core.outcome import Caution, Completed
from harness.core.plan import RERUN_ID
from harness.core.policy import Policy
from harness.core.rule import Rule
from harness.core.timing import Pairing
from harness.core.trace import Trace
from harness.core.units import Absent
from harness.gating import judge
from harness.reporting import compare_runs, frame, unprofiled_cells
from harness.reporting.blocks import block_strip
from harness.reporting.cell import CellSection
from harness.reporting.comparison import compare_conditions
from harness.reporting.figures import draw_pareto
from harness.reporting.page import Page, build_page, render_page, render_text
from harness.reporting.pareto_chart import describe_point
from harness.reporting.parts import list_absences
from harness.reporting.rendering import join_percentages
from harness.reporting.text import UNPROFILED
from harness.reporting.timing import check_itself
from harness.reporting.wall_time import build_wall_time
from harness.results import Run
from harness.results.format import format_half_width, format_money, format_range
from harness.store.layout import RunFolder
from tests.builders.reporting_example import CELLS, TWO_SPEEDS, Scene, make_run
from tests.builders.reporting_measured import CALLS, ROUNDS
from tests.builders.reporting_page import page_of

NAMES = ("50-steps", "50-steps_bf16", "50-steps_inductor", "20-steps", "20-steps_bf16", "8-steps", "4-steps",
         "4-steps_lcm-lora")  # fmt: skip
BEST = "4-steps_lcm-lora"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cells = tuple(made for made in CELLS if made.id in NAMES)
    return make_run(tmp_path_factory.mktemp("measured") / "results", cells, Scene(gpu=True))


@pytest.fixture(scope="module")
def loaded(run: Path) -> Run:
    return Run.load(run)


@pytest.fixture(scope="module")
def page(loaded: Run) -> Page:
    return build_page(loaded, report_s=1.0)


@pytest.fixture(scope="module")
def html(page: Page) -> str:
    return render_page(page, None, "")


def section(page: Page, cell_id: str) -> CellSection:
    return next(cell for cell in page.cells if cell.id == cell_id)


def changed(loaded: Run, cell_id: str, change: Callable[[Completed], dict[str, object]]) -> Run:
    cell = loaded.cell(cell_id).samples
    assert cell is not None
    return replace(loaded, outcomes={**loaded.outcomes, cell_id: cell.model_copy(update=change(cell))})


def test_blocks_are_drawn_in_time_order(page: Page) -> None:
    paired = section(page, "20-steps").paired
    assert paired is not None and paired.blocks is not None and paired.rounds is not None
    assert [slot.kind for slot in paired.blocks.slots[:4]] == ["theirs", "mine", "mine", "theirs"]
    assert {kind: path.count("M") for kind, path in paired.blocks.dots.items()} == dict.fromkeys(
        ("theirs", "mine"), 2 * ROUNDS * CALLS
    )
    assert re.match(r"Block 2, cell, round 1: 2 calls, median 40\d ms \([+−][\d.]+ %\), 1,9\d\d MHz, 6\d °C",
                    paired.blocks.slots[1].text)  # fmt: skip
    assert len(paired.rounds.marks) == ROUNDS
    assert paired.rounds.high <= paired.rounds.estimate <= paired.rounds.low  # from the top


def test_timing_method_is_shown_with_its_precision(page: Page) -> None:
    paired = section(page, "20-steps").paired
    assert paired is not None
    said = r"Interleaved with the baseline in 8 measurement rounds, 32 calls of the cell: ±0\.\d+ % \(2 % requested\)"
    assert re.fullmatch(said, paired.sentence)
    assert paired.notes == ("No more blocks: the precision asked for was reached.",)
    alone = section(page, "50-steps").paired
    assert alone is not None and alone.sentence.startswith("Timed alone, 32 calls in 16 blocks: ±0.")
    assert alone.rounds is None


def test_what_befell_blocks_is_marked(page: Page) -> None:
    throttled, warming = section(page, "50-steps_bf16").paired, section(page, "50-steps_inductor").paired
    odd = section(page, "4-steps").paired
    assert throttled is not None and throttled.blocks is not None
    assert [slot.kind for slot in throttled.blocks.slots if "redone" in slot.kind] == ["mine redone slow"]
    assert throttled.blocks.dots["redone"].count("M") == CALLS
    assert any("1 block timed again, both shown, the first not counted" in note for note in throttled.notes)
    assert warming is not None and warming.blocks is not None
    assert sum("warm" in slot.kind for slot in warming.blocks.slots) == 3 * 4 and "odd" not in warming.blocks.dots
    assert warming.notes[0] == "Warm-up, not counted: the first 3 rounds."
    assert odd is not None and odd.blocks is not None
    assert "odd" in odd.blocks.kinds and odd.blocks.dots["odd"].count("M") == 2


def test_sandwiched_cell_shows_its_drift(page: Page, html: str) -> None:
    paired = section(page, "8-steps").paired
    assert paired is not None and paired.blocks is not None
    assert paired.sentence.startswith("Timed between two blocks of the baseline, 16 calls of the cell in 8 blocks: ±")
    assert paired.notes[0].startswith("Not interleaved: both do not fit into memory")
    assert re.match(r"The baseline drifted by \+[34]\.\d % from before to after", paired.notes[1])
    assert paired.blocks.trend.startswith("M") and paired.rounds is None
    assert "drift of the baseline" in html


def test_conditions_are_ranges_and_absences_shown_once(page: Page, tmp_path: Path) -> None:
    conditions = section(page, "50-steps_bf16").conditions
    assert conditions is not None
    rows = {row.name: row for row in conditions.rows}
    assert re.fullmatch(r"1,[34]\d\d to 1,9\d\d MHz", rows["GPU clock"].value)
    assert (rows["GPU throttled"].value, rows["GPU throttled"].note) == ("1 of 33 blocks", "hw thermal slowdown in 1")
    assert rows["Other GPU processes"].value == "Xorg (4242, 31 MiB)"
    silent, _ = page_of(make_run(tmp_path / "results", CELLS[:2], Scene(prompts=6)))
    assert silent.cells[1].conditions is not None
    absent = silent.cells[1].conditions.absent
    assert [row.note for row in absent] == ["no GPU", "RAPL is readable by root only (CVE-2020-8694)"]
    assert absent[0].value.startswith("GPU clock, GPU memory clock, GPU temperature")


def test_the_baseline_against_itself_is_checked(loaded: Run, page: Page) -> None:
    assert page.timed is not None and page.timed.check is not None
    assert page.timed.check.holds is True and "contains 1.00, as it must" in page.timed.check.sentence

    def slower(cell: Completed) -> dict[str, object]:
        blocks = tuple(
            block.model_copy(update={"repeats": tuple(
                repeat.model_copy(update={"latency_s": repeat.latency_s * 1.05}) for repeat in block.repeats
            )}) if block.side == "cell" else block
            for block in cell.pairing.blocks
        )  # fmt: skip
        return {"pairing": cell.pairing.model_copy(update={"blocks": blocks})}

    off = changed(loaded, RERUN_ID, slower)
    check = check_itself(off)
    assert check is not None and check.holds is False and "does not contain 1.00" in check.sentence
    shown = build_page(off, report_s=1.0)
    assert any("does not contain 1.00" in note for note in shown.notes)
    untimed = Pairing(kind="alone", blocks=(), stopped="its timing was not made")
    none = check_itself(changed(loaded, RERUN_ID, lambda _: {"pairing": untimed}))
    assert none is not None and none.holds is None and "its timing was not made" in none.sentence


def test_method_counts_cells_by_kind_of_timing(page: Page) -> None:
    assert page.timed is not None
    words = " ".join(page.timed.sentences)
    assert "6 cells timed interleaved with the baseline" in words
    assert "1 cell timed between two blocks of the baseline: both do not fit" in words
    assert "1 of them timed again" in words
    assert re.search(r"Requested: ±2 % within 60 s a cell; \d of 8 cells reached it\.", words)


def test_memory_is_drawn_to_one_scale(page: Page, run: Path, tmp_path: Path) -> None:
    memory = section(page, "20-steps").memory
    assert memory is not None
    bars = {bar.name: bar for bar in memory.bars}
    assert list(bars) == ["Weights", "Peak allocated", "Peak reserved", "Device used", "Peak resident"]
    assert sum(piece.width for piece in bars["Device used"].pieces) == 100
    assert [piece.text for piece in bars["Weights"].pieces][1] == "denoiser: 13 MiB"
    assert bars["Peak resident"].note.endswith("before the call") and len(bars["Peak resident"].pieces) == 2
    silent, _ = page_of(make_run(tmp_path / "results", CELLS[:1], Scene(prompts=6)))
    assert silent.cells[0].memory is not None
    (absent,) = silent.cells[0].memory.absent
    assert (absent.value, absent.note) == ("Peak allocated, peak reserved, device used", "no GPU")
    said = frame(tmp_path / "results" / silent.run_id).set_index("cell").loc["50-steps", "absent"]
    for words in ("peak_allocated_bytes: no GPU", "gpu_clock_mhz: no GPU", "energy_j: RAPL is readable"):
        assert words in said
    table = frame(run).set_index("cell")
    assert table.loc["20-steps", "peak_allocated_bytes"] == int(7.1e9)
    assert table.loc["20-steps", "device_used_bytes"] == table.loc["20-steps", "peak_memory_bytes"]


def test_energy_and_cost_of_an_image(loaded: Run, page: Page, run: Path, tmp_path: Path) -> None:
    cell = loaded.cell("20-steps").samples
    assert cell is not None
    drawn = [block.conditions.energy_j for block in cell.pairing.of("cell")]
    joules = sum(energy for energy in drawn if not isinstance(energy, Absent)) / len(cell.repeats)
    assert joules == pytest.approx(540 * 0.402, rel=0.05)  # so a block's, or a group's, is none of an image
    figures = {made.name: made for made in section(page, "20-steps").figures}
    assert figures["Energy per image"].value == f"{joules:.4g} J"
    table = frame(run).set_index("cell")
    assert table.loc["20-steps", "energy_j"] == pytest.approx(joules)
    assert table.loc["20-steps", "image_cost"] == pytest.approx(3.5 * 0.402 / 3600, rel=0.02)
    assert table.loc["20-steps", "currency"] == "USD"
    titles = [column.title for column in page.table.columns]
    assert "Energy per image" in titles and "Cost of 1,000 images" in titles
    named = {figure.name: figure for figure in page.answer.figures}
    assert re.fullmatch(r"0\.097\d USD", named["Cost of 1,000 images"].value)
    assert named["Seconds per image"].note.startswith("baseline in the same rounds 97")
    assert re.fullmatch(r"baseline in the same rounds 0\.95\d USD", named["Cost of 1,000 images"].note)
    built = {made.name: made for made in section(page, "50-steps_inductor").figures}["Cost to build"]
    assert re.fullmatch(r"won back after \d+ images", built.note) and built.value == "0.0204 USD"
    silent, _ = page_of(make_run(tmp_path / "results", CELLS[:1], Scene(prompts=6)))
    absent = {made.name: made for made in silent.cells[0].figures}["Energy per image"]
    assert absent.value == "–" and "CVE-2020-8694" in absent.note
    assert not {"Energy per image", "Cost of 1,000 images"} & {column.title for column in silent.table.columns}


def test_price_that_fits_no_machine_is_absent(loaded: Run) -> None:
    matrix = loaded.plan.matrix.model_copy(update={"prices": Prices(per_hour={"*A100*": 1.0})})
    other = replace(loaded, plan=loaded.plan.model_copy(update={"matrix": matrix}))
    figures = {made.name: made for made in section(build_page(other, report_s=1.0), "20-steps").figures}
    assert figures["Cost per image"].value == "–" and "NVIDIA H200" in figures["Cost per image"].note


def test_a_trace_is_read_out_and_linked(page: Page, html: str, run: Path) -> None:
    trace = section(page, "20-steps").trace
    assert trace is not None and trace.flame is not None and trace.finding is not None
    assert trace.caption.startswith("CUDA, 3 of 20 steps of one call: ")
    assert [bar.text.split(":")[0] for bar in trace.flame.bars][:3] == ["text encoder", "denoiser", "step 1"]
    assert trace.flame.rows == 3 and all(bar.left + bar.width <= 100.01 for bar in trace.flame.bars)
    assert 1 <= len(trace.finding.advice) <= 3 and all(
        str(escape(join_percentages(advised.sentence))) in html for advised in trace.finding.advice
    )
    for stage in trace.stages:
        assert sum(piece.width for piece in stage.pieces) <= 100.05
    assert {key.colour for key in trace.keys} >= {"f-gemm", "f-convolution", "f-idle"}
    assert (run.parents[1] / "reports" / run.name / trace.link).resolve() == RunFolder(run).cell("20-steps") / (
        "trace.json.gz"
    )
    assert f'href="{trace.link}" download' in html and "ui.perfetto.dev" in html
    assert trace.changes and not section(page, "50-steps").trace.changes  # type: ignore[union-attr]


def test_traces_stay_small_on_a_page_of_many_cells(tmp_path: Path) -> None:
    many = tuple(CELLS[1]._replace(id=f"50-steps_traced-{index}") for index in range(70))
    page, html = page_of(make_run(tmp_path / "results", (CELLS[0], *many), Scene(prompts=6)))
    trace = section(page, many[0].id).trace
    assert trace is not None and trace.finding is not None and trace.flame is not None
    assert len(trace.kernels) <= 3 and not any(piece.text for stage in trace.stages for piece in stage.pieces)
    assert len(html) < 70 * 48_000


def test_cell_without_trace_says_how_to_get_one(page: Page, run: Path) -> None:
    trace = section(page, BEST).trace
    assert trace is not None and trace.absent == "not asked for: measure.trace = false"
    assert trace.command == f"harness profile {run.name} {BEST}"


def test_unreadable_trace_counts_as_none(tmp_path: Path) -> None:
    signed = Policy(gate=(Rule(quantity="traced-steps", at_least=1),))
    run = make_run(tmp_path / "results", CELLS[:2], Scene(prompts=6, policy=signed))
    facts = RunFolder(run).trace_facts("50-steps_bf16")
    assert judge(run).cells[0].result == "pass" and unprofiled_cells(run) == frozenset()
    for spoil, reason in ((lambda: facts.write_text('{"device": "cp', encoding="utf-8"), "damaged or truncated"),
                          (facts.unlink, "is not in this run’s folder")):  # fmt: skip
        spoil()
        (verdict,) = judge(run).cells
        assert verdict.result == "missing" and reason in verdict.reason and "harness profile" in verdict.reason
        page, _ = page_of(run)
        trace = section(page, "50-steps_bf16").trace
        assert trace is not None and reason in trace.absent and trace.command.endswith("50-steps_bf16")
        assert not frame(run).set_index("cell").loc["50-steps_bf16", "traced"]


def test_traced_steps_are_of_those_requested(loaded: Run) -> None:
    traced = Trace(path="trace.json.gz", size_bytes=1, steps=4)
    heun = changed(loaded, "4-steps", lambda _: {"denoiser_calls": 7, "trace": traced})
    trace = section(build_page(heun, report_s=1.0), "4-steps").trace
    assert trace is not None and trace.caption.startswith("CUDA, 4 steps of one call: ")


def test_untraced_recommendations_are_marked(page: Page, html: str, run: Path) -> None:
    assert page.answer.best == BEST
    assert page.answer.command == f"harness profile {run.name} {BEST}"
    marked = {row.id for row in page.table.rows if row.unprofiled}
    loaded = Run.load(run)
    front = {name for name, point in loaded.pareto_points.items() if point.on_front}
    passing = {cell.id for cell in page.cells if cell.standing == "pass"}
    assert BEST in marked and marked == (front & passing) - {"50-steps_bf16", "20-steps"}
    assert html.count('class="unprofiled">unprofiled</small>') == len(marked)
    assert {row.id for row in page.verdicts if row.unprofiled} == marked == unprofiled_cells(run)
    points = loaded.pareto_points.values()
    hollow = {p.cell.id for p in points if UNPROFILED in describe_point(p, p.cell.id in page.unprofiled)}
    assert hollow == marked
    figure = draw_pareto(loaded, page.unprofiled)
    assert figure is not None
    legend = figure.axes[0].get_legend()
    assert "hollow: unprofiled" in [text.get_text() for text in legend.get_texts()]
    markdown = render_text("report.md.j2", page)
    assert "**Unprofiled:** " in markdown and markdown.count(r"| 4-steps\_lcm-lora (unprofiled) | pass |") == 2
    assert f"`{page.answer.command}`" in markdown
    assert not frame(run).set_index("cell").loc[BEST, "traced"]


def test_a_profiled_recommendation_is_not_marked(loaded: Run) -> None:
    traced = loaded.cell("20-steps").samples
    assert traced is not None
    state = changed(loaded, BEST, lambda _: {"trace": traced.trace})
    assert build_page(state, report_s=1.0).answer.unprofiled  # by its facts, not by the word of the outcome
    state = replace(state, traces={**state.traces, BEST: state.traces["20-steps"]})
    page = build_page(state, report_s=1.0)
    assert page.answer.unprofiled == "" and not section(page, BEST).unprofiled
    assert BEST not in {row.id for row in page.table.rows if row.unprofiled}


def test_cautions_stand_by_the_figures_they_qualify(loaded: Run, page: Page) -> None:
    doubtful = section(page, "20-steps_bf16")
    assert doubtful.timing_warnings == (TWO_SPEEDS,) and doubtful.warnings == ()
    row = next(row for row in page.table.rows if row.id == "20-steps_bf16")
    assert row.fields[0].note.endswith(", two speeds")
    tracing = Caution(kind="trace", message="the disk is full", advice="Make room.")
    state = changed(loaded, BEST, lambda cell: {"warnings": (TWO_SPEEDS, tracing)})
    shown = build_page(state, report_s=1.0)
    assert section(shown, BEST).trace_warnings == (tracing,)
    assert shown.answer.cautions == (TWO_SPEEDS,)
    text = render_text("report.md.j2", shown)
    assert "**Two speeds:** the calls have two speeds" in text


def test_columns_say_how_a_cell_was_timed(run: Path) -> None:
    table = frame(run).set_index("cell")
    assert table.loc["8-steps", "pairing"] == "sandwiched" and table.loc["20-steps", "pairing"] == "interleaved"
    assert table.loc["50-steps_bf16", ["blocks", "calls", "blocks_timed_again", "blocks_slowed"]].tolist() == [
        16, 32, 1, 1,
    ]  # fmt: skip
    assert table.loc["20-steps", "timing_precision"] < 0.01
    assert 1900 < table.loc["20-steps", "gpu_clock_mhz"] < 1960
    assert table.loc["20-steps_bf16", "cautions"] == "two-speeds"


def test_the_ledger_has_the_pass_for_memory(loaded: Run) -> None:
    walls = {row.name: row.wall_s for row in build_wall_time(loaded, report_s=1.0).rows}
    assert walls["Memory"] > 0 and walls["Measuring"] > walls["Memory"]


def test_two_runs_are_compared_with_intervals(run: Path, tmp_path: Path) -> None:
    cells = tuple(made._replace(latency_s=made.latency_s / 1.25) if made.id == "20-steps" else made
                  for made in CELLS if made.id in ("50-steps", "20-steps"))  # fmt: skip
    other = make_run(tmp_path / "results", cells, Scene(gpu=True, prompts=6))
    path = RunFolder(other).run_json
    document = json.loads(path.read_text(encoding="utf-8"))
    document["plan"]["machine"]["gpus"][0]["driver"] = "999"
    path.write_text(json.dumps(document), encoding="utf-8")
    found = compare_runs(run, other)
    assert "driver: 570.1 ≠ 999" in found.differences
    pairs = {pair.cell: pair for pair in found.cells}
    faster = pairs["20-steps"]
    assert not isinstance(faster.interval, Absent) and not isinstance(faster.baseline_adjusted, Absent)
    assert faster.interval.low < 1.25 < faster.interval.high and faster.interval.low > 1.2
    assert faster.baseline_adjusted.estimate == pytest.approx(1.25, rel=0.02)
    assert isinstance(pairs["50-steps"].baseline_adjusted, Absent)
    assert isinstance(pairs["8-steps"].interval, Absent) and pairs["8-steps"].verdict_b == "absent"


def test_clocks_that_differ_between_runs_are_named(loaded: Run) -> None:
    cell = loaded.cell("20-steps").samples
    assert cell is not None
    blocks = tuple(
        block.model_copy(update={"conditions": block.conditions.model_copy(update={"clock_mhz": 1500.0})})
        for block in cell.pairing.blocks
    )
    slow = cell.model_copy(update={"pairing": cell.pairing.model_copy(update={"blocks": blocks}), "threads": 8})
    differences = compare_conditions(cell, slow)
    assert re.fullmatch(r"GPU clock: 1,9\d\d MHz ≠ 1,500 MHz", differences[0])
    assert differences[1] == "CPU threads: 2 ≠ 8"
    assert compare_conditions(cell, cell) == ()


def test_words_for_ranges_money_and_precision() -> None:
    assert format_range(1901.2, 1958.4, "MHz") == "1,901 to 1,958 MHz" and format_range(64.2, 64.4, "°C") == "64 °C"
    assert [format_money(x, "USD") for x in (0.000412345, 0.0204, 12.345, 4321.0, 0.0)] == [
        "0.000412 USD", "0.0204 USD", "12.35 USD", "4,321 USD", "0.00 USD",
    ]  # fmt: skip
    assert [format_half_width(x) for x in (0.018, 0.0044, 0.25)] == ["±1.8 %", "±0.44 %", "±25 %"]
    absent = Absent(absent="no GPU")
    assert [row.value for row in list_absences((("A", absent), ("GPU x", absent), ("Clock", absent), ("B", 1)))] == [
        "A, GPU x, clock"
    ]


def test_many_calls_are_thinned_and_outliers_stay(loaded: Run) -> None:
    cell = loaded.cell("4-steps").samples
    assert cell is not None
    blocks = tuple(block.model_copy(update={"repeats": block.repeats * 60}) for block in cell.pairing.blocks)
    long = cell.model_copy(update={"pairing": cell.pairing.model_copy(update={"blocks": blocks})})
    odd = sum(len(block.repeats) // 2 for block in blocks if block.round_index == 3 and block.side == "cell")
    for fine, most in ((True, 900), (False, 200)):
        strip = block_strip(long, fine)
        assert strip is not None
        drawn = {kind: path.count("M") for kind, path in strip.dots.items()}
        assert drawn["mine"] + drawn["theirs"] <= most and drawn["odd"] == odd
