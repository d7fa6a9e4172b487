"""The script of GPU checks runs to its end on a machine without a GPU, and names what it could not check."""

import json
from pathlib import Path

import pytest

from tools import h200_smoke
from tools.h200_smoke import main

MATRIX = """
name = "smoke"
model = {source = "fake", step_s = 0.002}
[axes]
steps = [4, 2]
precision = ["fp32"]
[baseline]
steps = 4
precision = "fp32"
[prompts]
limit = 4
[measure]
warmup = 0
min_s = 0
max_s = 0.2
precision = "50%"
"""


def test_script_ends_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h200_smoke, "AA_RUNS", 1)
    matrix, out = tmp_path / "m.toml", tmp_path / "out"
    matrix.write_text(MATRIX, encoding="utf-8")
    code = main(["--out", str(out), "--matrix", str(matrix)])
    checks = {check["name"]: check for check in json.loads((out / "smoke.json").read_text(encoding="utf-8"))}
    assert code == int(any(check["state"] == "failed" for check in checks.values()))
    assert checks["plan"]["state"] == checks["run of all cells"]["state"] == "ok"
    assert checks["cell 2-steps_fp32"]["state"] == "ok"
    assert checks["card by its UUID"]["state"] == checks["foreign process is refused"]["state"] == "skipped"
    assert not list(out.rglob("*.png"))
    assert (out / "aa-1.out").exists()


def test_no_check_begins_without_time(tmp_path: Path) -> None:
    assert main(["--out", str(tmp_path), "--budget_s", "1"]) == 0
    checks = json.loads((tmp_path / "smoke.json").read_text(encoding="utf-8"))
    assert {check["state"] for check in checks} == {"skipped"}
