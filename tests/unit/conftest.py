"""Fixtures of several unit tests: a run made for the report, read whole; what scripted machines tell of themselves."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.core.timing import UNKNOWN, Conditions
from harness.execution import pairing
from harness.results import CellResult, Run
from tests.builders.reporting_example import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("report") / "results")


@pytest.fixture(scope="module")
def loaded(run: Path) -> Run:
    return Run.load(run)


@pytest.fixture(scope="module")
def cells(loaded: Run) -> dict[str, CellResult]:
    return {cell.id: cell for cell in loaded.cells}


class ConditionsWatch:
    def __init__(self, conditions: Conditions) -> None:
        self.conditions = conditions


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> dict[int, Conditions]:
    """Return what can be told of the machine's state: block number → conditions, else none are known."""
    told: dict[int, Conditions] = {}
    seen = iter(range(10_000))

    @contextmanager
    def watching(device: str, ours: tuple[int, ...]) -> Iterator[ConditionsWatch]:
        yield ConditionsWatch(told.get(next(seen), UNKNOWN))

    monkeypatch.setattr(pairing, "watch_conditions", watching)
    return told
