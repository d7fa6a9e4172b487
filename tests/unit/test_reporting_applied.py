"""The report says what settings really did, what building them cost, and when that pays."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.core.outcome import Applied, Completed, Failed
from harness.core.quality import Interval
from harness.reporting import frame
from harness.reporting.cell_figures import write_figures
from harness.reporting.page import Page, build_page, render_page, render_text
from harness.reporting.text import write_break_even, write_cache
from harness.results import Run
from harness.results.timing import BreakEven, break_even
from tests.builders.reporting_cells import BASELINE, CELLS, FEW_STEPS
from tests.builders.reporting_example import make_run
from tests.builders.timed_pairs import alone

INDUCTOR, FUSED = "50-steps_inductor", "4-steps_lcm-lora"
NAMES = (BASELINE, INDUCTOR, "4-steps", FUSED)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("applied") / "results"
    return make_run(root, tuple(made for made in CELLS if made.id in NAMES))


@pytest.fixture(scope="module")
def loaded(run: Path) -> Run:
    return Run.load(run)


@pytest.fixture(scope="module")
def page(loaded: Run) -> Page:
    return build_page(loaded, report_s=1.0)


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"bytes_before": 2**24, "bytes_after": 2**22}, [("Bytes", "16 MiB → 4 MiB", "−75.0 %")]),
        ({"vae_bytes_before": 0, "vae_bytes_after": 1}, [("VAE bytes", "0 B → 1 B", "")]),
        ({"vae_bytes_after": 1}, [("VAE bytes after", "1 B", "")]),
        ({"layers_quantized": 1200, "layers_left": 3}, [("Layers quantized", "1,200", "3 left")]),
        ({"linear_quantized": 64, "coverage": 0.934}, [("Linear quantized", "64", ""), ("Coverage", "93.4 %", "")]),
        ({"graphs": 3, "graph_breaks": 0}, [("Graphs", "3", ""), ("Graph breaks", "0", "")]),
        ({"blocks_executed": 12.5, "blocks_skipped": 27.5}, [("Blocks executed", "12.5", "27.5 skipped")]),
        ({"denoiser_calls": 8.0, "denoiser_calls_skipped": 12.0}, [("Denoiser calls", "8", "12 skipped")]),
        ({"cache_hits": 1, "cache_misses": 0}, [("Cache hits", "1", "0 misses")]),
        ({"onnx_nodes": 1384, "provider": "CPU"}, [("ONNX nodes", "1,384", ""), ("Provider", "CPU", "")]),
        ({"build_s": 75.2, "parity_error": 1.234567e-6}, [("Build", "75.2 s", ""), ("Parity error", "1.235e−06", "")]),
    ],
)  # fmt: skip
def test_figures_have_units_and_stand_in_pairs(
    figures: dict[str, float | int | str], words: list[tuple[str, str, str]]
) -> None:
    assert [(made.name, made.value, made.note) for made in write_figures(figures)] == words


def test_a_cell_shows_what_its_settings_did(page: Page) -> None:
    (cell,) = [cell for cell in page.cells if cell.id == INDUCTOR]
    (effect,) = cell.effects
    assert (effect.axis, effect.value) == ("compiler", "inductor")
    shown = {made.name: made.value for made in effect.figures}
    assert shown == {"Graphs": "3", "Graph breaks": "2", "Cache hits": "0", "Compile": "20.5 s"}
    html = render_page(page, None, "")
    assert "<b>compiler inductor:</b> denoiser compiled by inductor" in html and "<dt>Graph breaks</dt>" in html


def test_markdown_says_each_effect_once(loaded: Run, page: Page) -> None:
    row = "| distillation lcm-lora | fused LoRA lcm-lora (rank 32) | {} |"
    assert row.format(FUSED.replace("_", r"\_")) in render_text("report.md.j2", page)
    assert loaded.baseline.samples is not None
    fused = loaded.baseline.samples.model_copy(update={"applied": loaded.outcomes[FUSED].applied})
    state = replace(loaded, outcomes={**loaded.outcomes, BASELINE: fused})
    text = render_text("report.md.j2", build_page(state, report_s=1.0))
    assert row.format("2 cells") in text and text.count("| distillation lcm-lora |") == 1


def test_figures_are_columns(run: Path) -> None:
    table = frame(run).set_index("cell")
    assert table.loc[INDUCTOR, "applied/compiler/graph_breaks"] == 2
    assert table["applied/compiler/compile_s"].isna().sum() == len(NAMES) - 1
    assert table.loc[INDUCTOR, "build_cost_s"] == pytest.approx(21.012)
    assert table.loc[INDUCTOR, "break_even_images"] == pytest.approx(21 / (0.982 - 0.874), rel=0.05)
    assert "break_even_images: it is the baseline" in table.loc[BASELINE, "absent"]


def test_build_time_is_separate_and_breaks_even(loaded: Run, page: Page) -> None:
    found = loaded.cell(INDUCTOR).break_even
    sections = {cell.id: {made.name: made for made in cell.figures} for cell in page.cells}
    cost = sections[INDUCTOR]["Build and compile"]
    assert (cost.value, cost.note) == ("21 s", "settings 12 ms, compiling 21 s, cold cache")
    assert isinstance(found, BreakEven)
    words = f"pays after {found.images} images against the baseline"
    assert sections[INDUCTOR]["Break-even images"].note == words
    assert "Break-even images" not in sections[BASELINE]
    notes = {row.id: [field.note for field in row.fields] for row in page.table.rows}
    assert words in notes[INDUCTOR]
    assert not any("pays" in note for note in notes[FUSED]), "an edit of milliseconds is not worth a word in the table"
    assert words in render_text("report.md.j2", page)


def test_a_compiled_cell_pays_against_its_eager_twin(tmp_path: Path) -> None:
    """Fewer steps make both fast; what the compiler saves is less than its twin's lead over the baseline."""
    twin = next(made for made in CELLS if made.id == "4-steps")
    settings = tuple("inductor" if word == "eager" else word for word in twin.settings)
    fast = twin._replace(id="fast", settings=settings, latency_s=twin.latency_s / 2, compile_s=21.0)
    slow = fast._replace(id="slow", latency_s=twin.latency_s * 2)
    lone = fast._replace(id="lone", settings=("8", *settings[1:]))
    run = make_run(tmp_path / "results", (CELLS[0], twin, fast, slow, lone))
    loaded = Run.load(run)
    page = build_page(loaded, report_s=1.0)
    table = frame(run).set_index("cell")
    assert table.loc["fast", "break_even_against"] == "4-steps"
    assert table.loc["fast", "break_even_images"] == pytest.approx(21 / (twin.latency_s / 2), rel=0.05)
    assert table.loc["lone", "break_even_against"] == BASELINE, "the run has no eager cell of 8 steps"
    assert table.loc["4-steps", "break_even_against"] == BASELINE
    assert "never won back: it is not faster" in table.loc["slow", "absent"]
    notes = {cell.id: made.note for cell in page.cells for made in cell.figures if made.name == "Break-even images"}
    assert notes["fast"].endswith(" images against eager: cell 4-steps")
    assert notes["slow"] == "never pays: it is slower than eager: cell 4-steps", "however fast beside the baseline"
    assert notes["lone"].endswith("against the baseline")


def test_pays_in_words(loaded: Run) -> None:
    def words(latency_s: float, low: float, high: float, compile_s: float, against: str = BASELINE) -> str:
        cell, speedup = loaded.cell(INDUCTOR).samples, Interval(estimate=1.0, low=low, high=high, method="x")
        baseline = loaded.baseline.samples
        assert isinstance(cell, Completed) and baseline is not None
        repeats = tuple(repeat.model_copy(update={"latency_s": latency_s}) for repeat in cell.repeats)
        cold = cell.cold_start.model_copy(update={"compile_s": compile_s})
        other = cell.model_copy(update={"pairing": alone(repeats), "cold_start": cold})
        made = break_even(other, baseline, against, baseline)
        return write_break_even(made.model_copy(update={"speedup": speedup}), BASELINE)

    assert words(0.5, 1.9, 2.1, 0.0) == "pays from the first image against the baseline"
    assert words(0.5, 1.9, 2.1, 600.0).startswith("pays after 1,2")
    assert words(0.5, 1.9, 2.1, 600.0, "its twin").endswith("images against eager")
    assert words(2.0, 0.4, 0.6, 600.0) == "never pays: it is slower than the baseline"
    assert words(2.0, 0.4, 1.1, 600.0) == "never pays: it is not faster than the baseline"
    assert words(0.9, 0.9, 1.3, 0.0).endswith("if it is faster at all (uncertain)")


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"compile_s": 3.0, "cache_hits": 0, "cache_misses": 2}, "cold cache"),
        ({"compile_s": 3.0, "cache_hits": 1, "cache_misses": 2}, "partly warm cache"),
        ({"compile_s": 3.0, "cache_hits": 1, "cache_misses": 0}, "warm cache: a cold one takes longer"),
        ({"build_s": 30.0, "cache_hits": 1, "cache_misses": 0}, "warm cache: 30 s of an earlier build counted"),
        ({"cache_hits": 0.5, "cache_misses": 0.5}, ""),
    ],
)
def test_caches_of_what_is_built_are_named(figures: dict[str, float | int | str], words: str) -> None:
    assert write_cache(figures) == words


def test_plan_cautions_are_shown_once_with_advice(loaded: Run) -> None:
    for outcome in (loaded.outcomes["4-steps"], Failed(kind="error", phase="load", message="broke"), None):
        outcomes = {name: made for name, made in loaded.outcomes.items() if name != "4-steps"}
        state = replace(loaded, outcomes={**outcomes, **({"4-steps": outcome} if outcome else {})})
        page = build_page(state, report_s=1.0)
        (cell,) = [cell for cell in page.cells if cell.id == "4-steps"]
        assert cell.warnings == (FEW_STEPS,)
        html = render_page(page, None, "")
        assert html.count(FEW_STEPS.message) == html.count(FEW_STEPS.advice) == 1


def test_what_settings_did_is_text_not_markup(loaded: Run) -> None:
    cell = loaded.cell(FUSED).samples
    assert cell is not None
    hostile = Applied(axis="precision", value="<b>", summary="a|b <script>", figures={"<i>": "<script>"})
    state = replace(loaded, outcomes={**loaded.outcomes, FUSED: cell.model_copy(update={"applied": (hostile,)})})
    page = build_page(state, report_s=1.0)
    assert "b <script>" not in render_page(page, None, "") and "<dt><i>" not in render_page(page, None, "")
    assert r"a\|b \<script\>" in render_text("report.md.j2", page)
