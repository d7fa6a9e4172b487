"""A run made for the report, as its tests need it: its folder, what was read of it, and the facts of its cells."""

from pathlib import Path

import pytest

from harness.reporting.facts import Facts, all_facts
from harness.reporting.loaded import Loaded, load
from tests.reporting_example import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("report") / "results")


@pytest.fixture(scope="module")
def loaded(run: Path) -> Loaded:
    return load(run)


@pytest.fixture(scope="module")
def facts(loaded: Loaded) -> dict[str, Facts]:
    return {cell.id: cell for cell in all_facts(loaded)}
