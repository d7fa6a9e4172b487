"""The history of a matrix: every reading of every night, as columns with an index by series."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import ResultsError
from harness.core.history import Night, NightReading
from harness.history.night import NightRun, read_night, read_nights
from harness.history.quantities import LATENCY, describe_difference, find_quantity
from harness.store.layout import RunFolder, history_file

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Rows = NDArray[np.intp]
Key = tuple[str, str, str]


class Series(NamedTuple):
    """One quantity of one cell on one machine, in the order of time; arrays have one entry a night.

    It begins where its figures became comparable: with the present baseline, prompts and
    definition.
    """

    machine: str
    cell: str
    quantity: str
    values: Floats
    low: Floats
    high: Floats
    runs: NDArray[np.str_]


class Columns(NamedTuple):
    """Readings as arrays of one length: codes into the lists of names, and figures."""

    run: Codes
    cell: Codes
    quantity: Codes
    basis: Codes
    value: Floats
    low: Floats
    high: Floats


class Names(NamedTuple):
    """The names that codes stand for."""

    cells: tuple[str, ...] = ()
    quantities: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()


NO_ROWS = np.empty(0, np.intp)
NO_NAMES = Names()
NO_READINGS = Columns(*(np.empty(0, np.int32),) * 4, *(np.empty(0),) * 3)


@dataclass(frozen=True)
class History:
    """All nights of a matrix with their readings, ordered by time.

    `columns.run` is the place in `nights`.
    """

    lineage: str
    nights: tuple[Night, ...] = ()
    names: Names = NO_NAMES
    columns: Columns = NO_READINGS
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What was wrong when it was read, such as a damaged file."""

    @classmethod
    def build(cls, root: Path, lineage: str, *, anew: bool = False) -> "History":
        """Read every run of a matrix under a results folder, and keep the nights of the present
        file whose runs are gone.

        With `anew` the figures kept in the runs' folders are not trusted. A damaged file is left
        out, which `notes` state.
        """
        path = history_file(root, lineage)
        try:
            known = cls.load(path) if path.exists() else cls(lineage)
        except ResultsError as error:
            note = f"{error}: it was built again from the runs; nights without a run are lost"
            known = cls(lineage, notes=(note.replace("\n", " "),))
        return known.mark_stale(root).merge(read_nights(root, lineage, anew))

    @classmethod
    def load(cls, path: Path) -> "History":
        """Read a history file; ResultsError if it is missing, damaged or newer."""
        from harness.history.file import load_history

        return load_history(path)

    def save(self, path: Path) -> None:
        """Write the history file; it appears whole or not at all."""
        from harness.history.file import save_history

        save_history(self, path)

    def add(self, folders: Iterable[Path]) -> "History":
        """Return the history with these runs; a run that it already has is read anew.

        Raises ResultsError if a run cannot be read or is of another matrix.
        """
        found = []
        for folder in folders:
            night = read_night(folder)
            if night is not None and night.lineage != self.lineage:
                what = f"this run is of the matrix {night.lineage}, not {self.lineage}"
                raise ResultsError(what, str(folder), "Name the history that it belongs to.")
            found += [night] if night is not None else []
        return self.merge(found)

    def merge(self, found: Iterable[NightRun]) -> "History":
        """Return the history with these nights, each in the place of a known one of its name."""
        from harness.history.merging import merge_nights

        return merge_nights(self, found)

    def join(self, other: "History") -> "History":
        """Return the history with the nights of another one of the same matrix that it lacks."""
        from harness.history.merging import list_night_runs

        known = {night.run for night in self.nights}
        return self.merge(each for each in list_night_runs(other) if each.night.run not in known)

    def mark_stale(self, root: Path) -> "History":
        """Return the history with the nights marked whose runs are not under a results folder."""
        nights = tuple(
            night.model_copy(update={"stale": not RunFolder(root / night.run).run_json.exists()})
            for night in self.nights
        )
        return History(self.lineage, nights, self.names, self.columns, self.notes)

    @property
    def machines(self) -> tuple[str, ...]:
        """The machines, the one of the first night first."""
        return tuple(dict.fromkeys(night.machine for night in self.nights))

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells that have readings, in the order of the newest plan; cells that left the matrix
        come last."""
        planned = (cell for night in reversed(self.nights) for cell in night.cells)
        return tuple(cell for cell in dict.fromkeys(planned) if cell in self.names.cells)

    @property
    def quantities(self) -> tuple[str, ...]:
        """The watched quantities that have readings, in the order of their declaration."""
        return tuple(name for name in self.names.quantities if find_quantity(name).watched)

    def night(self, run: str) -> Night:
        """Return a night by its run's name; KeyError if there is none."""
        return self.nights[self._places[run]]

    def nights_on(self, machine: str) -> tuple[Night, ...]:
        """Return the nights of one machine in the order of time."""
        return tuple(night for night in self.nights if night.machine == machine)

    def baseline(self, machine: str) -> str:
        """Return the id of the baseline in a machine's newest night; '' if it has none."""
        return next((n.baseline for n in reversed(self.nights) if n.machine == machine), "")

    def series(self, machine: str, cell: str, quantity: str) -> Series:
        """Return a series, which is empty if nothing was read: since its figures are comparable.

        A repetition counts as one more night where its figures are; its losses on more images are
        not.
        """
        rows = self._select_comparable(self._index.get((machine, cell, quantity), NO_ROWS))
        columns = self.columns
        return Series(machine, cell, quantity, columns.value[rows], columns.low[rows],
                      columns.high[rows], self._runs[columns.run[rows]])  # fmt: skip

    def relative_latency(self, machine: str, cell: str) -> Series:
        """Return a cell's normalized latency ÷ the baseline's latency of the same night.

        The machine's clock cancels: the interval is that of 1 ÷ the speedup.
        """
        mine = self.series(machine, cell, LATENCY)
        theirs = self.series(machine, self.baseline(machine), LATENCY)
        by_run = dict(zip(theirs.runs.tolist(), theirs.values.tolist(), strict=True))
        kept = np.array([run in by_run for run in mine.runs], dtype=bool)
        base = np.array([by_run[run] for run in mine.runs[kept]])
        return mine._replace(
            values=mine.values[kept] / base, low=mine.low[kept] / base,
            high=mine.high[kept] / base, runs=mine.runs[kept],
        )  # fmt: skip

    def all_series(self, machine: str) -> Iterator[Series]:
        """Yield every watched series of a machine that has readings."""
        for cell in self.cells:
            for quantity in self.quantities:
                if (machine, cell, quantity) in self._index:
                    yield self.series(machine, cell, quantity)

    def figures(self, run: str, cell: str) -> dict[str, float]:
        """Return quantity → value of one cell in one night, with those that only explain."""
        columns = self.columns
        if cell not in self.names.cells or run not in self._places:
            return {}
        code = self.names.cells.index(cell)
        rows = np.flatnonzero((columns.run == self._places[run]) & (columns.cell == code))
        names = self.names.quantities
        return {names[columns.quantity[row]]: float(columns.value[row]) for row in rows}

    def reading(self, run: str, cell: str, quantity: str) -> NightReading | None:
        """Return one reading of a night, of whatever basis; None if it has none."""
        columns, names = self.columns, self.names
        if cell not in names.cells or quantity not in names.quantities:
            return None
        codes = (self._places[run], names.cells.index(cell), names.quantities.index(quantity))
        found = np.flatnonzero(
            (columns.run == codes[0]) & (columns.cell == codes[1]) & (columns.quantity == codes[2])
        )
        if not found.size:
            return None
        row = found[0]
        return NightReading(
            run=run, cell=cell, quantity=quantity, value=columns.value[row], low=columns.low[row],
            high=columns.high[row], basis=names.bases[columns.basis[row]],
        )  # fmt: skip

    def beginnings(self) -> Mapping[Key, tuple[tuple[str, str], ...]]:
        """Return, for each series that began anew, the (run, what changed) of every beginning."""
        found: dict[Key, tuple[tuple[str, str], ...]] = {}
        for key, every in self._index.items():
            rows = every[~self._is_repetition[self.columns.run[every]]]
            basis = self.columns.basis[rows]
            for place in np.flatnonzero(np.diff(basis)):
                texts = (self.names.bases[basis[place + step]] for step in (0, 1))
                run = self.nights[self.columns.run[rows[place + 1]]].run
                found[key] = (*found.get(key, ()), (run, describe_difference(*texts)))
        return found

    @cached_property
    def _places(self) -> dict[str, int]:
        return {night.run: place for place, night in enumerate(self.nights)}

    @cached_property
    def _runs(self) -> NDArray[np.str_]:
        return np.array([night.run for night in self.nights], dtype=np.str_)

    @cached_property
    def _is_repetition(self) -> NDArray[np.bool_]:
        return np.array([bool(night.repetition_of) for night in self.nights], dtype=bool)

    def _select_comparable(self, rows: Rows) -> Rows:
        """Return the rows since the basis of the newest usual night, without others' bases."""
        basis, again = self.columns.basis[rows], self._is_repetition[self.columns.run[rows]]
        usual = np.flatnonzero(~again)
        if not usual.size:
            return rows[:0]
        present = basis[usual[-1]]
        other = usual[basis[usual] != present]
        kept = basis == present
        if other.size:
            kept[: other[-1] + 1] = False
        return np.asarray(rows[kept])

    @cached_property
    def _index(self) -> dict[Key, Rows]:
        """Series → its rows in the order of time."""
        if not self.columns.run.size:
            return {}
        machines = list(self.machines)
        of_night = np.array([machines.index(night.machine) for night in self.nights])
        columns, names = self.columns, self.names
        keys = np.stack([of_night[columns.run], columns.cell, columns.quantity])
        order = np.lexsort((columns.run, *keys[::-1]))
        keys = keys[:, order]
        cuts = np.flatnonzero(np.any(np.diff(keys, axis=1), axis=0)) + 1
        starts = np.concatenate(([0], cuts))
        return {
            (machines[m], names.cells[c], names.quantities[q]): rows
            for (m, c, q), rows in zip(keys[:, starts].T, np.split(order, cuts), strict=True)
        }
