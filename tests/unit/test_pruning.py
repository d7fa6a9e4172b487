"""Pruning: images and traces of old nights go; figures, signed and accepted runs stay."""

import json
import shutil
from pathlib import Path

import pytest

from harness import api
from harness.core.errors import AcceptanceError, MachineError
from harness.history.acceptance import FILE_NAME, add_accepted
from harness.history.night import NightlyRecord, read_night, write_nightly
from harness.history.pruning import Keep, plan_pruning, prune
from harness.store import lock_run
from harness.store.layout import TRACE, RunFolder
from tests.builders.fake_run import copy_finished_run
from tests.unit.test_nightly_accepting import acceptance

NIGHTS = 4


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a results folder with four nights of the fake matrix, each with one trace."""
    first = copy_finished_run(tmp_path)
    for number in range(1, NIGHTS):
        shutil.copytree(first, first.parent / f"night-{number}")
    first.rename(first.parent / "night-0")
    for number in range(NIGHTS):
        folder = RunFolder(first.parent / f"night-{number}")
        document = json.loads(folder.run_json.read_bytes())
        document["created"] = f"2026110{number + 1}T030000.000000Z"
        document["plan"]["run_id"] = folder.path.name
        folder.run_json.write_text(json.dumps(document), encoding="utf-8")
        (folder.cell("4-steps_fp32") / TRACE).write_bytes(b"trace")
    return first.parent


def images(run: Path) -> int:
    return len(list(run.glob("cells/*/images/*.png")))


def traces(run: Path) -> int:
    return len(list(run.glob(f"cells/*/{TRACE}")))


def test_a_plan_deletes_nothing(root: Path) -> None:
    planned = plan_pruning(root, Keep(images=1, traces=2))
    assert {found.run.name for found in planned.runs} == {"night-0", "night-1", "night-2"}
    assert (planned.images, planned.traces) == (3 * images(root / "night-0"), 2)
    assert all(images(root / f"night-{number}") for number in range(NIGHTS))


def test_the_newest_nights_keep_their_images(root: Path) -> None:
    before = read_night(root / "night-0")
    assert prune(plan_pruning(root, Keep(images=2, traces=3))) == ()
    assert [bool(images(root / f"night-{number}")) for number in range(NIGHTS)] == [False, False, True, True]
    assert [traces(root / f"night-{number}") for number in range(NIGHTS)] == [0, 1, 1, 1]
    assert read_night(root / "night-0") == before
    assert api.report(root / "night-0").exists()
    assert plan_pruning(root, Keep(images=2, traces=3)).runs == ()


def test_signed_and_accepted_runs_keep_everything(root: Path) -> None:
    RunFolder(root / "night-0").signed.write_text("{}\n", encoding="utf-8")
    write_nightly(root / "night-3", NightlyRecord(matrix=str(root.parent / "fake.toml")))
    add_accepted(root.parent / FILE_NAME, acceptance(since="night-2", previous="night-1"))
    planned = plan_pruning(root, Keep(images=0))
    assert {found.run.name for found in planned.pinned} == {"night-0", "night-1", "night-2"}
    prune(planned)
    assert [bool(images(root / f"night-{number}")) for number in range(NIGHTS)] == [True, True, True, False]


def test_a_wrong_file_of_accepted_changes_stops_it(root: Path, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("nonsense", encoding="utf-8")
    with pytest.raises(AcceptanceError):
        plan_pruning(root, Keep(images=0), (tmp_path / "x.toml",))


def test_a_run_in_use_is_passed_over(root: Path) -> None:
    with lock_run(root / "night-0"):
        (passed,) = prune(plan_pruning(root, Keep(images=3)))
    assert passed.startswith("night-0")
    assert images(root / "night-0")


def test_a_full_disk_ends_it_with_advice(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def full(path: Path) -> None:
        calls.append(path)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")
        shutil.os.rename(path, path.with_name("gone"))  # type: ignore[attr-defined]

    monkeypatch.setattr("harness.history.pruning.shutil.rmtree", full)
    planned = plan_pruning(root, Keep(images=1))
    with pytest.raises(MachineError, match="disk is full"):
        prune(planned)
    monkeypatch.undo()
    assert plan_pruning(root, Keep(images=1)).images < planned.images
    prune(plan_pruning(root, Keep(images=1)))
    assert plan_pruning(root, Keep(images=1)).images == 0


def test_linked_files_free_nothing(root: Path) -> None:
    path = next((root / "night-0").glob("cells/4-steps*/images/*.png"))
    before = plan_pruning(root, Keep(images=3)).freed_bytes
    newest = root / "night-3" / path.relative_to(root / "night-0")
    newest.unlink()
    newest.hardlink_to(path)
    assert before - plan_pruning(root, Keep(images=3)).freed_bytes == path.stat().st_size


def test_machines_are_counted_apart(root: Path) -> None:
    folder = RunFolder(root / "night-3")
    document = json.loads(folder.run_json.read_bytes())
    document["plan"]["machine"]["cpu_cores"] = 999
    folder.run_json.write_text(json.dumps(document), encoding="utf-8")
    assert {found.run.name for found in plan_pruning(root, Keep(images=1)).runs} == {"night-0", "night-1"}
