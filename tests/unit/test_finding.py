"""Which run a command is about: continued where nothing measured changed, and otherwise the reason is named."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness import api
from harness.cli.commands import app
from harness.core.errors import MachineError, ResultsError, UsageError
from harness.core.machine import Machine
from harness.core.matrix import Matrix, Quality
from harness.core.policy import Policy
from harness.core.units import Absent
from harness.planning import adopt_rules, list_plan_differences
from harness.planning.identity import QUALITY_RULES, RULES
from harness.reporting import write_report
from harness.store import read_plan, resolve_run
from harness.store.layout import RunFolder
from tests.builders.fake_run import MATRIX, copy_finished_run, finished_run, write_matrix


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return copy_finished_run(tmp_path)


def edit(run: Path, old: str, new: str) -> api.LoadedMatrix:
    """Change the text of the run's matrix file, and read it."""
    path = run.parent.parent / "fake.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return api.load(path)


def same_run(run: Path, loaded: api.LoadedMatrix) -> bool:
    """Return whether the run is continued, and found by the matrix file's name, and has nothing left to measure."""
    opened = api.open_run(loaded, results=run.parent)
    return opened == run == api.find(run.parent.parent / "fake.toml", run.parent) and not api.pending(opened)


UNMEASURED = {
    "a comment": ("[model]", "# a note\n[model]"),
    "a rule": ("[model]", '[[gate]]\nmetric = "psnr"\nmargin = 0.5\n[model]'),
    "a policy": ("[model]", 'policy = "strict"\n[model]'),
    "a description": ("[model]", 'about = "nightly"\n[model]'),
    "prices": ("[model]", "[prices]\nper_kwh = 0.3\n[model]"),
    "metrics": ('["psnr", "ssim"]', '["psnr"]'),
    "resamples": ("rerun_prompts = 4", "rerun_prompts = 4\nresamples = 300"),
    "the order of an axis": ("[50, 20, 4]", "[4, 20, 50]"),
    "another spelling": ('[model]\nsource = "fake"', '[model]\nsource="fake"'),
    "the default baseline": ("[model]", "[baseline]\nsteps = 50\n[model]"),
}


@pytest.mark.parametrize("what", UNMEASURED)
def test_what_changes_no_measurement_keeps_the_run(run: Path, what: str) -> None:
    assert same_run(run, edit(run, *UNMEASURED[what]))


def test_every_key_is_known_to_measure_or_to_judge() -> None:
    """A new key of a matrix must be put on one side: whether a change of it measures again."""
    measuring = {"name", "model", "axes", "exclude", "include", "baseline", "prompts", "seeds", "measure", "quality"}
    assert set(Matrix.model_fields) == measuring | RULES | {"schema_version"}
    assert set(Quality.model_fields) == {"images", "max", "rerun_prompts"} | QUALITY_RULES


MEASURED = {
    'name = "fake"': ('name = "other"', "name: fake ≠ other"),
    "max_s = 0.1": ("max_s = 0.2", "measure.max_s: 0.1 ≠ 0.2"),
    "seeds = [0]": ("seeds = [1]", "seeds: [0] ≠ [1]"),
    "rerun_prompts = 4": ("rerun_prompts = 5", "quality.rerun_prompts: 4 ≠ 5"),
    'source = "fake"': ('source = "fake"\nstep_s = 0.002', "model: "),
    "[50, 20, 4]": ("[50, 20, 8]", "cells: "),
}


@pytest.mark.parametrize("old", MEASURED)
def test_what_changes_a_measurement_is_named(run: Path, old: str) -> None:
    new, reason = MEASURED[old]
    loaded, notices = edit(run, old, new), []
    assert api.open_run(loaded, results=run.parent, notice=notices.append) != run
    assert len(notices) == 1
    assert run.name in notices[0]
    assert reason in notices[0]


@pytest.mark.parametrize("old", MEASURED)
def test_changed_matrix_without_run_names_differences(run: Path, old: str) -> None:
    edit(run, old, MEASURED[old][0])
    with pytest.raises(ResultsError, match="this matrix has no run yet") as caught:
        api.find(run.parent.parent / "fake.toml", run.parent)
    assert f"{run.name} differs: " in caught.value.what


def test_a_fresh_run_needs_no_reason(run: Path) -> None:
    notices: list[str] = []
    assert api.open_run(edit(run, "max_s = 0.1", "max_s = 0.2"), results=run.parent, fresh=True, notice=notices.append)
    assert notices == []


def test_a_changed_rule_judges_the_run_and_its_report(run: Path, tmp_path: Path) -> None:
    api.evaluate(run)
    api.gate(run)
    edit(run, "[model]", '[[gate]]\nquantity = "speedup"\nat_least = 1e9\n[model]')
    found = api.find(tmp_path / "fake.toml", run.parent)
    judgement = api.gate(found)
    assert found == run
    assert judgement.result == "fail"
    assert judgement.policy.name == "five-percent with 1 rule of the matrix"
    page = write_report(run, tmp_path / "out").with_name("report.md").read_text()
    assert "five-percent with 1 rule of the matrix" in page
    assert "was changed after the run began" in page
    assert "1e9" in RunFolder(run).matrix_toml.read_text()


def test_an_edited_policy_file_judges_the_run(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('[[gate]]\nquantity = "speedup"\nat_least = 1e-9\n')
    run = finished_run(tmp_path, 'policy = "mine.toml"\n' + MATRIX)
    api.evaluate(run)
    assert api.gate(api.find(tmp_path / "fake.toml", run.parent)).result == "pass"
    mine.write_text('[[gate]]\nquantity = "speedup"\nat_least = 1e9\n')
    assert api.gate(api.find(tmp_path / "fake.toml", run.parent)).result == "fail"


def test_added_metrics_score_the_run(run: Path) -> None:
    edit(run, '["psnr", "ssim"]', '["psnr", "ssim", "clip:bundled"]')
    found = api.find(run.parent.parent / "fake.toml", run.parent)
    assert "clip:bundled" in read_plan(found).matrix.quality.metrics


def test_named_model_finds_its_run(tmp_path: Path) -> None:
    path = write_matrix(tmp_path)
    run = api.open_run(api.load(path, model="bundled"), results=tmp_path / "results")
    assert api.find(path, tmp_path / "results") == run
    assert read_plan(run).matrix.model.source == "bundled"


def test_another_host_name_continues_the_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "pod-b")
    notices: list[str] = []
    loaded = api.load(run.parent.parent / "fake.toml")
    assert api.plan(loaded, results=run.parent).machine.name == "pod-b"
    assert api.open_run(loaded, results=run.parent, notice=notices.append) == run
    assert notices == []


def test_other_software_begins_a_run_and_is_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.python_version", lambda: "3.99")
    notices: list[str] = []
    assert api.open_run(api.load(run.parent.parent / "fake.toml"), results=run.parent, notice=notices.append) != run
    assert "Python: " in notices[0]
    assert "≠ 3.99" in notices[0]


def test_adaptive_run_keeps_its_analyses(run: Path) -> None:
    existing = read_plan(run)
    wanted = existing.model_copy(update={"interim_analyses": (2, 6), "policy": Policy(name="strict")})
    assert list_plan_differences(existing, wanted) == ()
    assert adopt_rules(existing, existing.matrix, wanted.policy).interim_analyses == existing.interim_analyses


def test_hosts_of_one_kind_are_one_machine() -> None:
    absent = Absent(absent="no checkout")
    one = Machine(name="a", cpu="c", cpu_cores=8, memory_bytes=64 * 2**30, os="o", python="3", packages={"torch": "2"},
                  git_commit="1", git_dirty=False)  # fmt: skip
    alike = one.model_copy(update={"name": "b", "memory_bytes": 64 * 2**30 - 2**24, "git_commit": absent})
    other = one.model_copy(update={"packages": {"torch": "3"}, "memory_bytes": 32 * 2**30})
    assert one.differences(alike) == []
    assert one.differences(other) == ["torch: 2 ≠ 3", "memory: 64.0 ≠ 32.0 GiB"]


def test_latest_is_the_last_created_whatever_its_name(run: Path) -> None:
    kept = run.rename(run.with_name("zz-keep"))
    second = api.open_run(api.load(run.parent.parent / "fake.toml"), results=run.parent, fresh=True)
    assert resolve_run(Path("latest"), run.parent) == second
    assert api.find(run.parent.parent / "fake.toml", run.parent) == second
    assert resolve_run(Path("zz-keep"), run.parent) == kept


def test_an_unreadable_latest_run_is_not_passed_over(run: Path) -> None:
    third = run.with_name("aa-unreadable")
    third.mkdir()
    RunFolder(third).run_json.write_text("not JSON")
    assert resolve_run(Path("latest"), run.parent) == third
    with pytest.raises(ResultsError, match="damaged"):
        read_plan(third)


def test_a_run_without_a_time_sorts_by_its_id(run: Path) -> None:
    document = json.loads(RunFolder(run).run_json.read_text())
    document["plan"]["run_id"] = "20200101T000000Z_old_host"
    del document["created"]
    RunFolder(run).run_json.write_text(json.dumps(document))
    old = run.rename(run.with_name("zz-old"))
    new = api.open_run(api.load(run.parent.parent / "fake.toml"), results=run.parent, fresh=True)
    assert resolve_run(Path("latest"), run.parent) == new
    assert resolve_run(old, run.parent) == old


def test_a_run_is_reopened_only_where_it_was_begun(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "pod-b")
    assert api.reopen_run(Path(run.name), results=run.parent) == run
    monkeypatch.setattr("platform.python_version", lambda: "3.99")
    with pytest.raises(MachineError, match="cannot be continued here: Python: "):
        api.reopen_run(run, results=run.parent)


def test_a_run_may_be_named_instead_of_its_matrix(run: Path) -> None:
    where = ["--results", str(run.parent)]
    assert CliRunner().invoke(app, ["run", run.name, *where]).exception.exit_code == 3  # type: ignore[union-attr]
    refused = CliRunner().invoke(app, ["run", run.name, "--fresh", *where])
    assert isinstance(refused.exception, UsageError)


def test_pilot_of_another_baseline_forecasts_nothing(run: Path) -> None:
    api.evaluate(run)
    decided = api.plan(edit(run, "[model]", "[baseline]\nsteps = 20\n[model]"), results=run.parent)
    with pytest.raises(ResultsError, match="its baseline is 50-steps_fp32, not 20-steps_fp32"):
        api.power(decided, run)
