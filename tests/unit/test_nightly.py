"""A night: one measurement, one repetition of what is suspected, one exit code, and no retries until green."""

import ast
import json
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import filelock
import pytest

from harness import api
from harness.core.errors import AcceptanceError, MachineError, NothingToDo, ResultsError, UsageError
from harness.core.history import Level, LevelChange
from harness.history.acceptance import FILE_NAME, read_accepted
from harness.history.merging import BEHIND, place_last
from harness.history.night import read_nightly
from harness.history.table import History
from harness.nightly import acceptance, following, night
from harness.nightly.acceptance import Reason, accept
from harness.nightly.following import add_runs, follow
from harness.nightly.night import NightlyOptions, NightlyResult, run_nightly
from harness.nightly.repetition import extend, reverse
from harness.nightly.watching import read_commits
from harness.store import read_plan
from harness.store.layout import RunFolder, history_file, nightly_lock
from tests.builders.fake_run import MATRIX, copy_finished_run, write_matrix
from tests.builders.nights import BASELINE, FIRST, MACHINE, history
from tests.builders.nights import night as made_night
from tests.figures_of_code import ROOT

FAST = "4-steps_fp32"
Detect = Callable[..., tuple[LevelChange, ...]]


def level(value: float) -> Level:
    return Level(estimate=value, low=value, high=value, nights=1)


def made_change(nights: History, changed: dict[str, Any]) -> LevelChange:
    """Return a change of the fast cell's latency in the newest night."""
    newest = next(each for each in reversed(nights.nights) if not each.repetition_of)
    known = {
        "id": f"fake/{FAST}/latency/{newest.run}", "machine": newest.machine, "cell": FAST, "quantity": "latency",
        "since": newest.run, "found": newest.run, "before": level(0.1), "after": level(0.2), "direction": "worse",
        "state": "new",
    }  # fmt: skip
    return LevelChange.model_validate(known | changed)


def detecting(*changes: dict[str, Any]) -> Detect:
    return lambda nights, budget: tuple(made_change(nights, changed) for changed in changes)


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Measure in this process, without traces; return the runs that were measured, in order."""
    measured: list[Path] = []

    def measure(folder: Path, **options: Any) -> None:
        measured.append(folder)
        original(folder, inline=True)

    original = api.continue_run
    monkeypatch.setattr(api, "continue_run", measure)
    return measured


def one_night(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *changes: dict[str, Any], table: str = ""
) -> NightlyResult:
    monkeypatch.setattr("harness.history.changes.detect", detecting(*changes))
    text = MATRIX + '[nightly]\ntrace = "never"\n' + table
    path = write_matrix(folder, text)
    return run_nightly(path, api.load(path), NightlyOptions(results=folder / "results"))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ([], 0),
        ([{}], 1),
        ([{"state": "suspected"}], 6),
        ([{"state": "suspected"}, {"id": "b"}], 1),
        ([{"direction": "better"}], 0),
        ([{"direction": "better", "state": "suspected"}], 0),
        ([{"state": "known", "found": "earlier", "since": "earlier"}], 0),
        ([{"machine": "another"}], 0),
    ],
)
def test_exit_codes_count_what_is_new_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: list[dict[str, Any]], code: int
) -> None:
    run = copy_finished_run(tmp_path)
    earlier = made_night(0, {(FAST, "latency"): 0.1}, run="earlier", machine=read_plan(run).machine.title)
    other = made_night(1, {(FAST, "latency"): 0.1}, run="other", machine="another")
    found = History("fake").merge([earlier, other]).add([run])
    changes = [{"since": "other", "found": "other"} | each if "machine" in each else each for each in changes]
    monkeypatch.setattr("harness.history.changes.detect", detecting(*changes))
    lineage = following.Lineage("fake", read_plan(run).matrix.nightly, tmp_path / FILE_NAME)
    followed = following.list_changes(found, lineage, run.parent)
    result = NightlyResult(run, None, followed, (), Path())
    assert result.exit_code == code
    assert result._replace(failed=("a cell",)).exit_code == 5


def test_a_night_is_measured_anew_and_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inline: list[Path]
) -> None:
    copy_finished_run(tmp_path)
    result = one_night(tmp_path, monkeypatch)
    assert inline == [result.run]
    assert (result.exit_code, result.repetition, result.failed) == (0, None, ())
    assert len(History.load(history_file(tmp_path / "results", "fake")).nights) == 2
    assert result.page.exists()
    assert read_nightly(result.run).matrix == str(tmp_path / "fake.toml")


def test_what_is_suspected_is_measured_again_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inline: list[Path]
) -> None:
    suspected = {"state": "suspected"}
    both = [suspected, {"state": "suspected", "direction": "better", "cell": "20-steps_fp32", "id": "b"}]
    result = one_night(tmp_path, monkeypatch, *both)
    assert result.repetition is not None
    assert inline == [result.run, result.repetition]
    usual, again = read_plan(result.run), read_plan(result.repetition)
    assert [p.id for p in again.cells if p.role == "candidate"] == ["4-steps_fp32", "20-steps_fp32"]
    assert [p.id for p in usual.cells if p.role == "candidate"] == ["20-steps_fp32", "4-steps_fp32"]
    assert again.matrix.measure.max_s > usual.matrix.measure.max_s
    assert set(again.matrix.seeds) > set(usual.matrix.seeds)
    first, second = result.followed.changes
    assert [reading.run for reading in first.remeasured] == [result.repetition.name]
    assert [reading.cell for reading in second.remeasured] == ["20-steps_fp32"]
    found = result.followed.history
    latencies = found.series(first.machine, FAST, "latency")
    assert latencies.runs.tolist() == [result.run.name, result.repetition.name]  # added, not substituted
    assert result.exit_code == 6


def test_a_repetition_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inline: list[Path]) -> None:
    first = one_night(tmp_path, monkeypatch, {"state": "suspected"})
    since = {"state": "suspected", "since": first.run.name, "found": first.run.name}
    second = one_night(tmp_path, monkeypatch, since)
    assert second.repetition is None
    assert len(inline) == 3


def test_repeat_false_measures_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inline: list[Path]
) -> None:
    assert one_night(tmp_path, monkeypatch, {"state": "suspected"}, table="repeat = false\n").repetition is None
    assert len(inline) == 1


def test_nothing_is_retried_until_green() -> None:
    """The whole code of a night measures in one place, called for the night and for its one repetition, in no loop."""
    measuring = {"_measure", "_run", "api.run_until_decided", "api.continue_run", "run_nightly"}

    def called(tree: ast.AST) -> list[str]:
        names = (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
        return [name for name in names if name in measuring]

    calls, looped = [], []
    for path in sorted((ROOT / "harness" / "nightly").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls += called(tree)
        loops = (node for node in ast.walk(tree) if isinstance(node, ast.For | ast.While | ast.comprehension))
        looped += [name for loop in loops for name in called(loop)]
    assert sorted(calls) == ["_measure", "_measure", "_run", "api.run_until_decided"]
    assert looped == []


def test_a_new_change_stays_new_after_the_repetition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inline: list[Path]
) -> None:
    """To the detector the repetition is the newest night, and what the night found is known."""
    run = copy_finished_run(tmp_path)
    found = History("fake").add([run])
    rows = [("x", "latency", 1.0, 1.0, 1.0, "cell=x")]
    again = found.nights[0].model_copy(update={"run": "again", "repetition_of": found.nights[0].run})
    found = found.merge([type(made_night(0, {("x", "latency"): 1.0}))("fake", again, rows)])
    monkeypatch.setattr("harness.history.changes.detect", detecting({"state": "known"}))
    lineage = following.Lineage("fake", read_plan(run).matrix.nightly, tmp_path / FILE_NAME)
    (change,) = following.list_changes(found, lineage, run.parent).changes
    assert change.state == "new"


def test_failed_cells_end_with_5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inline: list[Path]) -> None:
    monkeypatch.setattr("harness.history.changes.detect", detecting())
    text = MATRIX.replace('source = "fake"', 'source = "fake"\nfaults = {4 = "error"}')
    path = write_matrix(tmp_path, text)
    result = run_nightly(path, api.load(path), NightlyOptions(results=tmp_path / "results"))
    assert result.exit_code == 5
    assert result.failed[0].startswith(f"{FAST}: error during")
    assert FAST in result.followed.history.nights[-1].missing


def test_two_nights_at_once_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inline: list[Path]) -> None:
    path = nightly_lock(tmp_path / "results")
    path.parent.mkdir(parents=True)
    with filelock.FileLock(path), pytest.raises(MachineError, match="another harness nightly"):
        one_night(tmp_path, monkeypatch)
    assert inline == []


def test_a_clock_that_was_set_back_is_stated() -> None:
    found = history({(BASELINE, "latency"): [1.0, 2.0]}).merge(
        [made_night(0, {(BASELINE, "latency"): 3.0}, run="tonight", time=FIRST - timedelta(days=400))]
    )
    placed = place_last(found, "tonight")
    assert placed.series(MACHINE, BASELINE, "latency").values.tolist() == [1, 2, 3]
    assert placed.nights[-1].time == FIRST + timedelta(days=1) + BEHIND
    assert "clock" in placed.nights[-1].notes[0]
    assert place_last(placed, "tonight") == placed


def test_wrong_settings_end_before_measuring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inline: list[Path]
) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        one_night(tmp_path, monkeypatch, table='watch = ["nowhere"]\n')
    (tmp_path / "plain").mkdir()
    (tmp_path / FILE_NAME).write_text("nonsense", encoding="utf-8")
    with pytest.raises(AcceptanceError):
        one_night(tmp_path, monkeypatch)
    assert inline == []


def test_commits_of_watched_repositories(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    with pytest.raises(UsageError, match="not a git repository"):
        read_commits(("model",), tmp_path)
    name = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], [*name, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    commit = read_commits(("model",), tmp_path)["model"]
    assert len(commit) == 12
    (folder / "file").write_text("x", encoding="utf-8")
    subprocess.run(["git", "add", "file"], cwd=folder, check=True)
    assert read_commits(("model",), tmp_path)["model"] == commit + "+changes"


def test_repetitions_take_more_of_everything() -> None:
    matrix = api.load(ROOT / "matrices" / "sdxl.toml").matrix
    more = extend(matrix)
    assert more.measure.max_s > matrix.measure.max_s
    assert more.measure.precision < matrix.measure.precision
    assert len(more.seeds) == 2 * len(matrix.seeds) == len(set(more.seeds))


def test_reversed_plans_begin_with_the_baseline(tmp_path: Path) -> None:
    decided = read_plan(copy_finished_run(tmp_path))
    turned = reverse(decided)
    assert turned.cells[0].role == "baseline"
    assert {planned.id for planned in turned.cells} == {planned.id for planned in decided.cells}
    assert [planned.order for planned in turned.cells] == list(range(len(turned.cells)))


def test_runs_of_other_machines_are_added(tmp_path: Path) -> None:
    run = copy_finished_run(tmp_path / "here")
    there = copy_finished_run(tmp_path / "there")
    document = json.loads(RunFolder(there).run_json.read_bytes())
    document["plan"]["machine"]["cpu"] = "Other"
    document["plan"]["run_id"] += "-other"
    RunFolder(there).run_json.write_text(json.dumps(document), encoding="utf-8")
    for image in there.glob("cells/*/images/*.png"):
        image.unlink()
    assert add_runs([there.parent], run.parent) == (("fake", 1),)
    assert add_runs([there], run.parent) == (("fake", 0),)
    followed = follow(tmp_path / "here" / "fake.toml", run.parent)
    assert [each.stale for each in followed.history.nights].count(True) == 1
    assert len(followed.history.machines) == 2
    history_of_others = tmp_path / "there.parquet"
    History("fake").add([there]).save(history_of_others)
    assert add_runs([history_of_others], tmp_path / "third") == (("fake", 1),)


@pytest.mark.parametrize(("path", "error"), [("nowhere", UsageError), ("empty", ResultsError)])
def test_wrong_paths_are_not_added(tmp_path: Path, path: str, error: type[Exception]) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(error):
        add_runs([tmp_path / path], tmp_path / "results")


def test_a_matrix_without_nights_has_no_history(tmp_path: Path) -> None:
    path = write_matrix(tmp_path)
    with pytest.raises(NothingToDo):
        follow(path, tmp_path / "results")
    with pytest.raises(UsageError, match="no history"):
        follow(Path("other"), tmp_path / "results")


def test_accepting_writes_next_to_the_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = copy_finished_run(tmp_path)
    monkeypatch.setattr("harness.history.changes.detect", detecting({}))
    monkeypatch.setattr(acceptance, "_find_name", lambda: "Ada")
    matrix = tmp_path / "fake.toml"
    done = accept("fake/", Reason("new scheduler"), run.parent, matrix)
    assert done.path == tmp_path / FILE_NAME
    (record,) = read_accepted(done.path)
    assert (record.who, record.why, record.since, record.after) == ("Ada", "new scheduler", run.name, 0.2)
    assert follow(matrix, run.parent).changes[0].state == "accepted"
    with pytest.raises(NothingToDo, match="accepted before"):
        accept(record.change, Reason("again"), run.parent, matrix)


@pytest.mark.parametrize(
    ("word", "reason", "error"),
    [
        ("nothing", Reason("why"), UsageError),
        ("fake", Reason("why"), UsageError),  # fits two
        ("fake/a", Reason("  "), UsageError),
        ("fake/a", Reason("why", until=datetime(2020, 1, 1, tzinfo=timezone.utc).date()), UsageError),
        ("fake/b", Reason("why"), NothingToDo),  # an improvement
    ],
)
def test_wrong_acceptance_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, reason: Reason, error: type[Exception]
) -> None:
    run = copy_finished_run(tmp_path)
    both = ({"id": "fake/a"}, {"id": "fake/b", "direction": "better"})
    monkeypatch.setattr("harness.history.changes.detect", detecting(*both))
    with pytest.raises(error):
        accept(word, reason, run.parent, tmp_path / "fake.toml")
    assert not (tmp_path / FILE_NAME).exists()


def test_alarming_cells_and_the_baseline_are_traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = copy_finished_run(tmp_path)
    path = tmp_path / "fake.toml"
    monkeypatch.setattr("harness.history.changes.detect", detecting({}))
    lineage = following.find_settings(path, run.parent)
    followed = follow(path, run.parent)
    asked: list[str] = []
    monkeypatch.setattr(api, "profile", lambda folder, cell, progress=None: asked.append(cell) or (cell,))
    for wanted, cells in (("on change", [read_plan(run).baseline_id, FAST]), ("always", [""]), ("never", [])):
        asked.clear()
        settings = lineage.settings.model_copy(update={"trace": wanted})
        work = night._Work(api.load(path), lineage._replace(settings=settings), path, NightlyOptions(run.parent))
        assert night._trace(work, run, followed) == bool(cells)
        assert asked == cells
