"""Every benchmark can be run in one short round, as CI does."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.readme import ROOT

SCRIPTS = sorted((ROOT / "tests" / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_benchmarks_have_a_quick_round(script: Path) -> None:
    assert script.stem not in sys.stdlib_module_names, "it shadows a module of Python's own"
    assert '"--quick"' in script.read_text(encoding="utf-8")


def test_ci_runs_every_benchmark() -> None:
    assert "make bench-quick" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    command = ["make", "--dry-run", "--old-file=.venv/dev", "bench-quick"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout
    assert {script.stem for script in SCRIPTS} - set(shown.split()) <= {"naive_quickstart"}
    naive = (ROOT / "tests" / "benchmarks" / "demo_against_naive.py").read_text(encoding="utf-8")
    assert "tests.benchmarks.naive_quickstart" in naive
