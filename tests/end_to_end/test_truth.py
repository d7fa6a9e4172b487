"""The stranger's check on a small run of rendered images: verdicts agree with the truth, no damaged copy passes."""

from pathlib import Path

import pytest

from harness.core.axis import Setting
from harness.evaluation import evaluate
from harness.gating import judge
from harness.matrix import load_policy
from tests.builders.scored_run import keep, make_scored_run, swapped
from tests.truth import DAMAGES, contradictions, damaged_run

METRICS = ("attributes:bundled", "detail", "colour", "odd-images")


def test_verdicts_agree_with_known_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    steps = Setting(axis="steps", name="4")
    candidates = {"same": (steps, keep), "swapped": (steps, swapped)}
    policy = load_policy("five-percent")
    run = make_scored_run(tmp_path / "run", prompts=256, metrics=METRICS, policy=policy, candidates=candidates)
    evaluate(run)
    assert {cell.cell_id: cell.result for cell in judge(run).cells} == {"same": "pass", "swapped": "fail"}
    assert contradictions(run) == 0
    damaged = damaged_run(run, tmp_path / "damaged")
    evaluate(damaged)
    results = {cell.cell_id: cell.result for cell in judge(damaged).cells}
    assert len(results) == len(DAMAGES)
    assert "pass" not in results.values()
