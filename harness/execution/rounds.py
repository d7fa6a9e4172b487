"""Time several cells in shared measurement rounds, in which the baseline is paid for once.

In a round every live process is timed twice, in a random order and then in its reverse: a steady
drift cancels for each pair of cells, as in baseline, candidate, candidate, baseline, and no cell
has a favoured place. Each cell has its own blocks and those of the baseline, so its speedup is
computed as if the two had been timed alone with each other. It leaves when its stopping rule holds.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.core.outcome import Completed, Failed
from harness.core.timing import Pairing, TimingSession
from harness.core.units import Absent
from harness.execution.baseline_worker import BaselineWorker
from harness.execution.cell import Measurement
from harness.execution.pairing import BlockSource, time_alone
from harness.execution.task import BaselineWorkerLost, Broken, is_crowded
from harness.measure.memory import read_free_bytes
from harness.stats.speedup import precise

MOST_CELLS = 15
"""Cells in a round: more would make a round so long that a clock changes within it."""
USABLE = 0.8
"""The share of the free memory that cells of one group may need together."""

Ended = Callable[[Measurement, Completed | Failed], None]


@dataclass
class _Live:
    """A cell whose process is ready to be timed."""

    cell: Measurement
    source: BlockSource
    pairing: Pairing | None = None
    """Its blocks, once its stopping rule holds."""


@dataclass
class SharedRounds:
    """One group of cells and the baseline, timed in rounds.

    `ended` receives each cell's outcome as soon as it is known; `keep_rounds` each cell's blocks
    after every whole round, so that a killed run keeps them.
    """

    baseline: BaselineWorker
    session: TimingSession
    ended: Ended
    keep_rounds: Callable[[Measurement, Pairing], None]
    single: list[Measurement] = field(default_factory=list)
    """Cells that must be timed one by one: memory did not suffice for all."""

    def measure(self, cells: Sequence[Measurement]) -> list[Measurement]:
        """Time and finish the cells; return those that must be timed one by one."""
        begin = time.perf_counter()
        try:
            self.baseline.begin(cells[0].notify)
        except BaselineWorkerLost:
            return list(cells)
        ready_s = (time.perf_counter() - begin) / len(cells)
        try:
            live = self._open(cells)
            for one in live:
                one.cell.spend("baseline_worker", ready_s)
            self._take_rounds(live)
            self.baseline.rest()
            for one in live:
                if one.pairing is not None:
                    self.ended(one.cell, one.cell.conclude(one.pairing))
        finally:
            for cell in cells:
                cell.close()
        return self.single

    def _open(self, cells: Sequence[Measurement]) -> list[_Live]:
        """Start and warm up each cell's process; a cell that fails has its outcome."""
        live: list[_Live] = []
        for cell in cells:
            try:
                source = cell.open()
                cell.rest()
                live.append(_Live(cell, source))
            except Broken as broken:
                self._drop(cell, broken, crowded=bool(live))
        return live

    def _drop(self, cell: Measurement, broken: Broken, crowded: bool) -> None:
        """Give up a cell; one that ran out of memory among others is timed again without them."""
        cell.close()
        if crowded and is_crowded(broken.failed):
            self.single.append(cell)
        else:
            self.ended(cell, broken.failed)

    def _take_rounds(self, live: list[_Live]) -> None:
        try:
            baseline = self.baseline.source()
        except BaselineWorkerLost as lost:
            self._time_alone(live, lost)
            return
        orders = np.random.default_rng(len(live))
        round_index = self.session.first_round
        while timed := [one for one in live if one.pairing is None]:
            begin = time.perf_counter()
            try:
                self._take_round(live, timed, baseline, (round_index, orders))
            except BaselineWorkerLost as lost:
                self._end_without_baseline(live, timed, round_index, lost)
                return
            left = [one for one in timed if one in live]
            share_s = (time.perf_counter() - begin) / max(len(left), 1)
            for one in left:
                one.cell.spend("repeats", share_s)
                self._check(one)
            round_index += 1

    def _take_round(
        self,
        live: list[_Live],
        timed: Sequence[_Live],
        baseline: BlockSource,
        turn: tuple[int, np.random.Generator],
    ) -> None:
        """Time everyone twice, in a random order and back; a cell that fails is dropped."""
        round_index, orders = turn
        order = [int(place) for place in orders.permutation(len(timed) + 1)]
        for place in (*order, *reversed(order)):
            present = [one for one in timed if one in live]
            if not present:
                return
            if place == len(timed):
                first, *others = (one.cell.recorder for one in present)
                first.take_shared(baseline, round_index, others)
            elif (one := timed[place]) in present:
                try:
                    one.cell.recorder.take(one.source, round_index)
                except Broken as broken:
                    live.remove(one)
                    self._drop(one.cell, broken, crowded=len(present) > 1)

    def _check(self, one: _Live) -> None:
        """Apply a cell's stopping rule after a whole round, and keep its blocks."""
        pairing = one.cell.recorder.pair("interleaved", session=self.session)
        rounds = len({block.round_index for block in pairing.of("cell")})
        stopped = one.cell.stopping_rule.check(pairing, rounds, one.cell.recorder.spent_s)
        pairing = pairing.model_copy(update={"stopped": stopped})
        if stopped:
            one.pairing = pairing
        else:
            self.keep_rounds(one.cell, pairing)

    def _end_without_baseline(
        self, live: list[_Live], timed: Sequence[_Live], round_index: int, lost: BaselineWorkerLost
    ) -> None:
        """Keep the whole rounds of cells that have an interval; others are timed alone."""
        for one in [one for one in timed if one in live]:
            recorder = one.cell.recorder
            recorder.discard(f"its round is incomplete: {lost}", round_index=round_index)
            pairing = recorder.pair("interleaved", str(lost), session=self.session)
            if precise(pairing) is not None:
                one.pairing = pairing
        self._time_alone([one for one in live if one.pairing is None], lost, live)

    def _time_alone(
        self, rest: list[_Live], lost: BaselineWorkerLost, live: list[_Live] | None = None
    ) -> None:
        """Time the cells without the baseline; if memory ran out, one by one with it later."""
        among = rest if live is None else live
        for one in list(rest):
            if lost.crowded:
                among.remove(one)
                one.cell.close()
                self.single.append(one.cell)
                continue
            try:
                cell = one.cell
                one.pairing = time_alone(cell.recorder, one.source, cell.stopping_rule, str(lost))
            except Broken as broken:
                among.remove(one)
                self._drop(one.cell, broken, crowded=False)


def group_cells(
    cells: Iterable[Measurement], baseline: BaselineWorker
) -> list[tuple[Measurement, ...]]:
    """Return the cells in groups whose processes fit into memory with the baseline's.

    A cell needs its footprint and what the measured baseline needed more than its own; without a
    footprint, as much as the baseline. Groups of one are timed as a pair.
    """
    groups: list[list[Measurement]] = []
    budget, left = 0.0, 0.0
    for cell in cells:
        if not groups:
            budget = left = _read_budget(cell.task.device, baseline)
        needed = _estimate_bytes(cell, baseline)
        if needed is None or needed > left or not groups or len(groups[-1]) == MOST_CELLS:
            groups.append([])
            left = budget
        groups[-1].append(cell)
        left -= budget if needed is None else needed
    return [tuple(group) for group in groups]


def _read_budget(device: str, baseline: BaselineWorker) -> float:
    free = read_free_bytes(device)
    used = baseline.used_bytes
    taken = 0.0 if baseline.alive or isinstance(used, Absent) else used
    return 0.0 if free is None else USABLE * max(0.0, free - taken)


def _estimate_bytes(cell: Measurement, baseline: BaselineWorker) -> float | None:
    """Return the memory that a cell's process needs, or None where nothing is known."""
    needs, used = cell.task.planned.needs, baseline.used_bytes
    if needs is None:
        return None if isinstance(used, Absent) else float(used)
    return needs.needed + baseline.surplus_bytes
