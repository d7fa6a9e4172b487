"""Cells timed together in shared rounds: the order, who leaves when, and what a failure costs the others."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import api
from harness.core.outcome import Completed, Failed
from harness.core.plan import Plan
from harness.core.timing import Pairing, TimingSession
from harness.core.units import Absent
from harness.execution import rounds, runner
from harness.execution.baseline_worker import BaselineWorker
from harness.execution.cell import Measurement, ignore
from harness.execution.rounds import SharedRounds, group_cells
from harness.execution.runner import SilentProgress, run_plan
from harness.execution.task import make_task
from harness.stats.speedup import MIN_ROUNDS_FOR_VERDICT, over_other, speedup
from harness.store import read_outcomes, read_rounds
from tests.builders.fake_run import MATRIX, write_matrix
from tests.builders.scripted_workers import BASELINE, SECONDS, Script, ScriptedLauncher, failed

CELLS = ("20-steps_fp32", "8-steps_fp32", "4-steps_fp32")
SPEEDUPS = {"20-steps_fp32": 2.0, "8-steps_fp32": 4.0, "4-steps_fp32": 4.0}


@pytest.fixture(autouse=True)
def seconds(monkeypatch: pytest.MonkeyPatch, states: object) -> None:
    monkeypatch.setitem(SECONDS, "20-steps_fp32", 0.2)
    monkeypatch.setitem(SECONDS, "8-steps_fp32", 0.1)


def plan_in(folder: Path, measure: str = "max_s = 60") -> Plan:
    text = MATRIX.replace("min_s = 0\nmax_s = 0.1", measure).replace("steps = [50, 20, 4]", "steps = [50, 20, 8, 4]")
    return api.plan(api.load(write_matrix(folder, text)), results=folder / "results")


class Group:
    """Three cells and the baseline in shared rounds, with what became of each."""

    def __init__(self, plan: Plan, script: Script, kept: dict[str, Pairing] | None = None) -> None:
        self.plan, self.script = plan, script
        launcher = ScriptedLauncher(script)
        self.worker = BaselineWorker(launcher, make_task(plan, plan.find(BASELINE), Path()))
        self.outcomes: dict[str, Completed | Failed] = {}
        self.kept: dict[str, list[Pairing]] = {}
        blocks = {cell: pairing.blocks for cell, pairing in (kept or {}).items()}
        tasks = [make_task(plan, plan.find(cell), Path()) for cell in CELLS]
        self.cells = [
            Measurement(task, launcher, lambda _: None, ignore, blocks.get(task.planned.id, ())) for task in tasks
        ]
        first = max(cell.recorder.next_round for cell in self.cells)
        shared = SharedRounds(self.worker, TimingSession(id="s", first_round=first), self._end, self._keep)
        self.single = [cell.task.planned.id for cell in shared.measure(self.cells)]
        self.worker.close()
        assert script.alive == []

    def _end(self, cell: Measurement, found: Completed | Failed) -> None:
        self.outcomes[cell.task.planned.id] = found

    def _keep(self, cell: Measurement, pairing: Pairing) -> None:
        self.kept.setdefault(cell.task.planned.id, []).append(pairing)

    def pairing(self, cell: str) -> Pairing:
        found = self.outcomes[cell]
        assert isinstance(found, Completed), found
        return found.pairing


def test_baseline_is_paid_once_per_round(tmp_path: Path) -> None:
    script = Script()
    group = Group(plan_in(tmp_path), script)
    calls = Counter(who for who, command in script.asked if command == "block")
    assert {calls[cell] for cell in CELLS} == {2 * MIN_ROUNDS_FOR_VERDICT}
    assert calls[BASELINE] == 2 * MIN_ROUNDS_FOR_VERDICT + 1  # one call warms it up
    assert script.most_alive == len(CELLS) + 1
    for cell in CELLS:
        assert speedup(group.pairing(cell)).estimate == pytest.approx(SPEEDUPS[cell])
        assert group.pairing(cell).kind == "interleaved"


def test_rounds_are_palindromes_in_changing_order(tmp_path: Path) -> None:
    script = Script()
    Group(plan_in(tmp_path), script)
    blocks = [who for who, command in script.asked if command == "block"][1:]
    size = 2 * (len(CELLS) + 1)
    taken = [blocks[start : start + size] for start in range(0, len(blocks), size)]
    assert all(one == one[::-1] for one in taken)
    assert len({tuple(one) for one in taken}) > 1
    assert {one[0] for one in taken} > {BASELINE}  # the baseline has no fixed place


def test_steady_drift_cancels_for_every_pair(tmp_path: Path) -> None:
    script = Script()
    script.factors = iter((1.001 ** np.arange(1_000)).tolist())
    group = Group(plan_in(tmp_path), script)
    for cell in CELLS:
        assert speedup(group.pairing(cell)).estimate == pytest.approx(SPEEDUPS[cell], rel=1e-6)


def test_cells_of_a_session_compare_directly(tmp_path: Path) -> None:
    script = Script()
    script.factors = iter(np.random.default_rng(2).lognormal(0, 0.02, 100_000).tolist())
    group = Group(plan_in(tmp_path, "max_s = 10000\nprecision = '3%'"), script)
    baseline = group.outcomes[CELLS[0]]  # any completed cell stands for the baseline's outcome
    slow, fast = (group.outcomes[cell] for cell in CELLS[:2])
    assert isinstance(baseline, Completed)
    assert isinstance(slow, Completed)
    assert isinstance(fast, Completed)
    direct = over_other(None, slow, fast)
    assert not isinstance(direct, Absent)
    assert not isinstance(direct.interval, Absent)
    assert direct.interval.method == "bootstrap over shared rounds"
    assert direct.interval.low < 2 < direct.interval.high


def test_precise_cell_leaves_the_others_go_on(tmp_path: Path) -> None:
    script = Script()
    noise = np.random.default_rng(1)

    class Noisy(Script):
        def hear(self, cell_id: str, command: str) -> None:
            super().hear(cell_id, command)
            spread = 0.1 if cell_id == CELLS[0] else 0.001
            self.factors = iter([float(noise.lognormal(0, spread))])

    script = Noisy()
    group = Group(plan_in(tmp_path, "max_s = 10000\nprecision = '3%'"), script)
    counts = {cell: len(group.pairing(cell).of("cell")) for cell in CELLS}
    assert counts[CELLS[1]] == counts[CELLS[2]] == 2 * MIN_ROUNDS_FOR_VERDICT < counts[CELLS[0]]


def test_crashed_cell_leaves_the_round(tmp_path: Path) -> None:
    script = Script()
    script.breaks[CELLS[1], "block"] = [None, None, None, failed("crash")]
    group = Group(plan_in(tmp_path), script)
    lost = group.outcomes[CELLS[1]]
    assert isinstance(lost, Failed)
    assert lost.kind == "crash"
    for cell in (CELLS[0], CELLS[2]):
        assert speedup(group.pairing(cell)).estimate == pytest.approx(SPEEDUPS[cell])


def test_cell_that_fails_at_rest_has_one_outcome(tmp_path: Path) -> None:
    script = Script()
    script.breaks[CELLS[1], "rest"] = [failed("crash")]
    group = Group(plan_in(tmp_path), script)
    assert isinstance(group.outcomes[CELLS[1]], Failed)
    assert (CELLS[1], "block") not in script.asked
    assert isinstance(group.outcomes[CELLS[0]], Completed)


@pytest.mark.parametrize("command", ["prepare", "block"])
def test_cell_without_memory_is_timed_alone_later(tmp_path: Path, command: str) -> None:
    script = Script()
    script.breaks[CELLS[2], command] = [failed("out-of-memory")]
    group = Group(plan_in(tmp_path), script)
    assert group.single == [CELLS[2]]
    assert set(group.outcomes) == set(CELLS[:2])


@pytest.mark.parametrize("whole", [0, MIN_ROUNDS_FOR_VERDICT])
def test_lost_baseline_ends_the_rounds(tmp_path: Path, whole: int) -> None:
    script = Script()
    blocks = 1 + 2 * whole + 1  # it is lost in the middle of a round
    script.breaks[BASELINE, "block"] = [None] * blocks + [failed("crash"), failed("crash", "gone again")]
    script.breaks[BASELINE, "prepare"] = [None, failed("crash", "gone again")]
    script.factors = iter(np.random.default_rng(1).lognormal(0, 0.05, 100_000).tolist())
    group = Group(plan_in(tmp_path, "max_s = 20\nprecision = '1%'"), script)
    for cell in CELLS:
        pairing = group.pairing(cell)
        assert pairing.kind == ("interleaved" if whole else "alone")
        if whole:
            assert len({block.round_index for block in pairing.of("cell")}) == whole
            assert "gone again" in pairing.stopped


def test_baseline_without_memory_leaves_pairs(tmp_path: Path) -> None:
    script = Script()
    script.breaks[BASELINE, "block"] = [None] * 4 + [failed("out-of-memory")]
    group = Group(plan_in(tmp_path), script)
    assert group.single == list(CELLS)
    assert group.outcomes == {}


def test_kept_rounds_continue(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    first = Group(plan, Script())
    kept = {cell: pairings[2] for cell, pairings in first.kept.items()}  # killed after three whole rounds
    script = Script()
    again = Group(plan, script, kept)
    taken = Counter(who for who, command in script.asked if command == "block")
    for cell in CELLS:
        pairing = again.pairing(cell)
        assert taken[cell] == 2 * (MIN_ROUNDS_FOR_VERDICT - 3)
        assert len(pairing.of("cell")) == 2 * MIN_ROUNDS_FOR_VERDICT
        begun = [block.begun_s for block in pairing.blocks]
        assert begun == sorted(begun)
        assert pairing.session == TimingSession(id="s", first_round=3)


def test_groups_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, launcher = plan_in(tmp_path), ScriptedLauncher(Script())
    cells = [Measurement(make_task(plan, plan.find(cell), Path()), launcher, lambda _: None, ignore) for cell in CELLS]
    worker = BaselineWorker(launcher, make_task(plan, plan.find(BASELINE), Path()))

    def sizes(free: float | None, used: int | Absent) -> list[int]:
        worker.used_bytes = used
        monkeypatch.setattr(rounds, "read_free_bytes", lambda device: free)
        return [len(group) for group in group_cells(cells, worker)]

    gib = 2**30
    assert sizes(100 * gib, gib) == [3]
    assert sizes(3.6 * gib, gib) == [2, 1]  # 80 % of what the baseline leaves
    assert sizes(1.5 * gib, gib) == [1, 1, 1]
    assert sizes(100 * gib, Absent(absent="not known")) == [1, 1, 1]
    assert sizes(None, gib) == [1, 1, 1]


def run_all(plan: Plan, folder: Path, script: Script) -> dict[str, Any]:
    from harness.store import create_run

    run = create_run(folder, plan, "")
    wanted = {planned.id: len(plan.get_prompts(planned)) for planned in plan.cells}
    run_plan(run, plan, wanted, ScriptedLauncher(script), SilentProgress())
    return {"run": run, "outcomes": read_outcomes(run)}


def test_run_shares_rounds_and_leaves_no_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "read_free_bytes", lambda device: 2**40)
    monkeypatch.setattr(runner, "reuse", lambda *_: None)
    monkeypatch.setattr("harness.core.outcome.Memory.peak_bytes", property(lambda memory: 2**30))
    plan, script = plan_in(tmp_path), Script()
    made = run_all(plan, tmp_path / "runs", script)
    assert script.most_alive == len(CELLS) + 2  # the rerun too
    sessions = {made["outcomes"][cell].pairing.session for cell in (*CELLS, "baseline-rerun")}
    assert len(sessions) == 1
    assert all(read_rounds(made["run"], cell) is None for cell in CELLS)


def test_killed_run_keeps_its_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "read_free_bytes", lambda device: 2**40)
    monkeypatch.setattr("harness.core.outcome.Memory.peak_bytes", property(lambda memory: 2**30))
    plan, script = plan_in(tmp_path), Script()

    class Killed(BaseException):
        """As if by kill -9, in the third round."""

    def hear(who: str, command: str, heard: Callable[[str, str], None] = script.hear) -> None:
        heard(who, command)
        if command == "block" and script.asked.count((CELLS[0], "block")) == 5:
            raise Killed

    monkeypatch.setattr(script, "hear", hear)
    with pytest.raises(Killed):
        run_all(plan, tmp_path / "runs", script)
    (run,) = (tmp_path / "runs").iterdir()
    kept = read_rounds(run, CELLS[0])
    assert kept is not None
    assert {block.round_index for block in kept.blocks} == {0, 1}
