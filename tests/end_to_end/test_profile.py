"""A finished run of the bundled model is traced afterwards, and what was timed stays; commands under Nsight Systems."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import api
from harness.core.outcome import Caution, Completed
from harness.core.trace import Trace
from harness.store import read_outcomes, read_trace_facts, write_outcome
from harness.store.layout import TRACE, RunFolder
from tests.builders.fake_run import finished_run, write_matrix

MATRIX = """
name = "small"
[model]
source = "bundled"
[axes]
steps = [2]
resolution = ["32x32"]
[baseline]
steps = 2
resolution = "32x32"
[prompts]
set = "{prompts}"
[measure]
min_s = 0
max_s = 0.1
threads = 1
[quality]
metrics = ["psnr"]
rerun_prompts = 2
"""

NSYS = """#!/bin/sh
echo "$@" > told
while [ "$2" != -m ]; do shift; done
NSYS_PROFILING_SESSION_ID=1 exec "$@"
"""


def harness(*words: str, cwd: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    around = {**os.environ, "PATH": path or os.environ["PATH"], "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "harness", *words], cwd=cwd, env=around, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose plan says that it was made on another processor."""
    folder = tmp_path_factory.mktemp("profile")
    run = finished_run(folder, MATRIX)
    path = RunFolder(run).run_json
    document = json.loads(path.read_text(encoding="utf-8"))
    document["plan"]["machine"]["cpu"] = "another processor"
    path.write_text(json.dumps(document), encoding="utf-8")
    return run


def test_a_cell_is_traced_after_the_run(finished: Path) -> None:
    """The one completed cell; the trace notes on which machine it was taken, and the figures stay as they were."""
    ((cell, before),) = [pair for pair in read_outcomes(finished).items() if "steps" in pair[0]]
    assert isinstance(before, Completed)
    untraced = Caution(kind="not-traced", message="no trace: the disk is full")
    write_outcome(finished, cell, before.model_copy(update={"warnings": (*before.warnings, untraced)}))
    assert api.profile(finished, "baseline", inline=True) == (cell,)
    explained = api.explain(finished, cell)
    assert {stage.stage for stage in explained.facts.stages} >= {"denoiser", "vae", "between stages"}
    after = read_outcomes(finished)[cell]
    assert isinstance(after, Completed)
    assert isinstance(after.trace, Trace)
    assert "another processor" in after.trace.notes[-1]
    assert after.model_copy(update={"trace": before.trace}) == before
    assert (RunFolder(finished).cell(cell) / TRACE).stat().st_size == after.trace.size_bytes
    found = read_trace_facts(finished, cell)
    assert found is not None
    assert next(stage.calls for stage in found.stages if stage.stage == "denoiser") == 2


def test_without_nsys_its_command_is_printed(tmp_path: Path) -> None:
    write_matrix(tmp_path)
    answer = harness("run", "fake.toml", "--results", "there", "--nsys", cwd=tmp_path, path="/nowhere")
    assert answer.returncode == 4
    assert answer.stdout.startswith("nsys profile --trace=cuda,nvtx")
    assert answer.stdout.rstrip().endswith("-m harness run fake.toml --results=there/nsys --fresh")
    assert "developer.nvidia.com" in answer.stderr
    assert not (tmp_path / "there").exists()


def test_nsys_run_is_separate_and_marked_profiled(tmp_path: Path) -> None:
    write_matrix(tmp_path)
    nsys = tmp_path / "nsys"
    nsys.write_text(NSYS, encoding="utf-8")
    nsys.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    answer = harness("run", "fake.toml", "--nsys", "--json", cwd=tmp_path, path=path)
    assert answer.returncode == 0, answer.stderr
    told = (tmp_path / "told").read_text(encoding="utf-8")
    assert "--trace-fork-before-exec=true" in told
    assert "--output=results/nsys/" in told
    run = tmp_path / json.loads(answer.stdout)["run"]
    assert run.parent == tmp_path / "results" / "nsys"
    kinds = [
        {caution.kind for caution in outcome.warnings}
        for outcome in read_outcomes(run).values()
        if isinstance(outcome, Completed) and outcome.repeats
    ]
    assert kinds
    assert all("profiled" in found for found in kinds)
