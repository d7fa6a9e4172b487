"""Which cell is the fastest, what it costs and how long it takes: what the machine did meanwhile decides none of it."""

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.table import Table

from harness.core.outcome import Completed
from harness.core.quality import Interval
from harness.core.units import Absent
from harness.reporting import compare_runs, unprofiled_cells
from harness.reporting.answer import find_fastest
from harness.reporting.page import Page, build_page
from harness.results import Run
from tests.builders.reporting_example import CELLS, Scene, make_run

BEST = "4-steps_lcm-lora"
NAMES = ("50-steps", "50-steps_bf16", "50-steps_inductor", "20-steps", BEST)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Run:
    cells = tuple(made for made in CELLS if made.id in NAMES)
    return Run.load(make_run(tmp_path_factory.mktemp("ranking") / "results", cells, Scene(gpu=True)))


@pytest.fixture(scope="module")
def page(loaded: Run) -> Page:
    return build_page(loaded, report_s=1.0)


def changed(loaded: Run, cell_id: str, change: Callable[[Completed], dict[str, object]]) -> Run:
    cell = loaded.cell(cell_id).samples
    assert cell is not None
    return replace(loaded, outcomes={**loaded.outcomes, cell_id: cell.model_copy(update=change(cell))})


def in_slow_minutes(factor: float) -> Callable[[Completed], dict[str, object]]:
    """All that was timed in a cell's minutes, the baseline too, took longer: nothing about the cell itself is worse."""

    def slower(cell: Completed) -> dict[str, object]:
        blocks = tuple(
            block.model_copy(update={"repeats": tuple(
                repeat.model_copy(update={"latency_s": repeat.latency_s * factor}) for repeat in block.repeats
            )}) for block in cell.pairing.blocks
        )  # fmt: skip
        return {"pairing": cell.pairing.model_copy(update={"blocks": blocks})}

    return slower


def test_order_follows_speedup_not_raw_latency(loaded: Run, page: Page) -> None:
    later = changed(loaded, BEST, in_slow_minutes(5))
    shown = build_page(later, report_s=1.0)
    assert shown.answer.best == BEST
    assert [row.id for row in shown.table.rows] == [row.id for row in page.table.rows]
    figures = {figure.name: figure for figure in shown.answer.figures}
    cost = figures["Cost of 1,000 images"]
    paid, was = (float(re.findall(r"[\d.]+", text)[0]) for text in (cost.value, cost.note))
    assert was / paid == pytest.approx(float(figures["Speedup"].value.rstrip("×")), rel=0.02)
    place = [column.title for column in shown.table.columns].index("Cost of 1,000 images")
    assert next(row for row in shown.table.rows if row.id == BEST).fields[place].note == cost.note


def test_cell_without_interval_keeps_the_order(loaded: Run) -> None:
    state = changed(loaded, BEST, in_slow_minutes(5))
    state = changed(state, "50-steps_bf16", lambda cell: {
        "pairing": cell.pairing.model_copy(update={"blocks": cell.pairing.blocks[:2]})
    })  # fmt: skip
    assert isinstance(state.cell("50-steps_bf16").speedup, Absent)
    assert find_fastest([state.cell(name) for name in ("20-steps", BEST, "50-steps_bf16")]) is state.cell(BEST)


def test_warm_up_calls_are_shown_but_not_counted(loaded: Run, page: Page) -> None:
    cell = loaded.cell("50-steps_inductor")
    assert isinstance(cell.image_s, Interval) and isinstance(cell.speedup, Interval)
    assert not isinstance(cell.stages_s, Absent) and not isinstance(cell.baseline_image_s, Absent)
    assert cell.image_s.estimate == pytest.approx(0.874, rel=0.005) and cell.image_s.high < 0.89
    assert sum(cell.stages_s.values()) == pytest.approx(cell.image_s.estimate, rel=0.01)
    assert cell.baseline_image_s / cell.image_s.estimate == pytest.approx(cell.speedup.estimate, rel=0.01)
    strip = next(cell for cell in page.cells if cell.id == "50-steps_inductor").strip
    said = "64 calls, median without 12 warm-up calls 87"
    assert strip is not None and strip.caption.startswith(said) and len(strip.dots) == 64


def test_passing_cells_without_trace_are_marked(loaded: Run, capsys: pytest.CaptureFixture[str]) -> None:
    from harness.cli.console import show_judgement

    assert loaded.judgement is not None
    untraced = unprofiled_cells(loaded.folder)
    show_judgement(loaded.judgement, untraced, json=False)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["pass", BEST, "unprofiled"] in lines and ["pass", "20-steps"] in lines
    show_judgement(loaded.judgement, untraced, json=True)
    found = {cell["cell_id"]: cell["unprofiled"] for cell in json.loads(capsys.readouterr().out)["cells"]}
    assert found[BEST] is True and found["20-steps"] is False


def test_paired_values_come_first_when_comparing_runs(loaded: Run) -> None:
    from harness.cli.comparison_view import PAIRED, UNPAIRED, pair_parts

    table = next(part for part in pair_parts(compare_runs(loaded.folder, loaded.folder)) if isinstance(part, Table))
    headers = [str(column.header) for column in table.columns]
    paired, unpaired = (name.format("A", "B") for name in (PAIRED, UNPAIRED))
    assert "unpaired" in unpaired and headers.index(paired) + 1 == headers.index(unpaired)
