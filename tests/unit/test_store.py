"""Results on disk: whole or not at all, and clear words where they cannot be read."""

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import api
from harness.cli import console
from harness.core.errors import ExitCode, MachineError, ResultsError
from harness.core.outcome import Completed, Failed
from harness.core.plan import RERUN_ID
from harness.store import (
    create_run,
    lock_run,
    read_evaluation,
    read_image_scores,
    read_judgement,
    read_outcomes,
    read_plan,
    read_trace_facts,
    report_folder,
    resolve_run,
    write_outcome,
)
from harness.store.layout import RunFolder
from harness.store.write import write_atomically
from tests.builders.fake_run import copy_finished_run

WRITER = """
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from harness.store.write import write_atomically
number = 0
while True:
    number += 1
    write_atomically(Path(sys.argv[1]), (str(number % 10) * 2_000_000).encode())
    print("written", flush=True)
"""


def test_a_file_is_whole_even_if_its_writer_is_killed(tmp_path: Path) -> None:
    target = tmp_path / "file"
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(target)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.stdout.readline()
        writer.kill()
        writer.wait()
        content = target.read_bytes()
        assert len(content) == 2_000_000
        assert len(set(content)) == 1


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "no permission"), (errno.EIO, "cannot write")]
)
def test_failed_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    target = tmp_path / "file"
    write_atomically(target, b"old")

    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(MachineError, match=words) as caught:
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
    assert caught.value.exit_code == 4


WAYS_OUT: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "a new run": (lambda run, bad: create_run(bad, read_plan(run), ""), "--results"),
    "a report": (lambda run, bad: api.report(run, bad / "out"), "--out"),
    "an outcome": (lambda run, bad: write_outcome(run, "a", Failed(kind="error", phase="load", message="")), ""),
}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("what", WAYS_OUT)
def test_a_failed_write_names_the_option_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, code: int
) -> None:
    run = copy_finished_run(tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(tempfile, "mkstemp", fail)
    monkeypatch.setattr(Path, "mkdir", fail)
    write, option = WAYS_OUT[what]
    with pytest.raises(MachineError) as caught:
        write(run, tmp_path / "bad")
    assert [word for word in ("--results", "--out") if word in caught.value.fix] == ([option] if option else [])


def test_a_truncated_outcome_is_named_with_what_to_do(tmp_path: Path) -> None:
    run = copy_finished_run(tmp_path)
    path = RunFolder(run).outcome(read_plan(run).baseline_id)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ResultsError, match="damaged or truncated") as caught:
        read_outcomes(run)
    assert str(path) in str(caught.value)
    assert "Delete this file" in str(caught.value)
    assert caught.value.exit_code == 7


def test_the_advice_for_a_damaged_file_makes_it_again(tmp_path: Path) -> None:
    run = copy_finished_run(tmp_path)
    api.evaluate(run)
    api.gate(run)
    cell, folder = read_plan(run).baseline_id, RunFolder(run)
    folder.trace_facts(cell).write_text("{")
    cases = {
        folder.outcome(cell): (lambda: read_outcomes(run), f"harness run {run}"),
        folder.trace_facts(cell): (lambda: read_trace_facts(run, cell), f"harness profile {run} {cell}"),
        folder.verdicts: (lambda: read_judgement(run), f"harness gate {run}"),
        folder.deltas: (lambda: read_evaluation(run), f"harness evaluate {run}"),
        folder.scores("psnr"): (lambda: read_image_scores(run, "psnr"), f"harness evaluate {run}"),
        folder.run_json: (lambda: read_plan(run), "harness run MATRIX --fresh"),
    }
    for path, (read, command) in cases.items():
        path.write_bytes(path.read_bytes()[:-5])
        with pytest.raises(ResultsError, match="damaged or truncated") as caught:
            read()  # type: ignore[no-untyped-call]
        assert caught.value.where == str(path)
        assert command in caught.value.fix


def test_results_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    run = copy_finished_run(tmp_path)
    document = json.loads(RunFolder(run).run_json.read_text(encoding="utf-8"))
    document["schema_version"] = 99
    RunFolder(run).run_json.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ResultsError, match="newer than this version"):
        read_plan(run)


@pytest.mark.parametrize("content", ["[]", "{}", '{"schema_version": 1}', "not json"])
def test_something_else_than_a_run_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content, encoding="utf-8")
    with pytest.raises(ResultsError):
        read_plan(tmp_path)


def test_run_is_found_by_path_name_and_as_latest(tmp_path: Path) -> None:
    run = copy_finished_run(tmp_path)
    assert resolve_run(run, run.parent) == run
    assert resolve_run(Path(run.name), run.parent) == run
    assert resolve_run(Path("latest"), run.parent) == run
    with pytest.raises(ResultsError, match="no run here"):
        resolve_run(Path("nothing"), tmp_path)


def test_only_one_process_writes_to_a_run(tmp_path: Path) -> None:
    run = copy_finished_run(tmp_path)
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sys, time; from pathlib import Path; from harness.store import lock_run\n"
         "with lock_run(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)", str(run)],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        with pytest.raises(MachineError, match="another harness is writing"), lock_run(run):
            pass
    finally:
        holder.kill()
        holder.wait()
    with lock_run(run):
        pass  # a killed holder gives the lock up


def test_runs_of_the_same_second_do_not_overwrite(tmp_path: Path) -> None:
    first = copy_finished_run(tmp_path)
    second = create_run(first.parent, read_plan(first), "")
    assert second.name == f"{first.name}-2" == read_plan(second).run_id
    assert resolve_run(Path("latest"), first.parent) == second


def test_report_of_the_current_folder_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = copy_finished_run(tmp_path)
    monkeypatch.chdir(run)
    assert report_folder(Path(".")) == tmp_path.resolve() / "reports" / run.name


def test_edited_prompts_are_another_run(tmp_path: Path) -> None:
    run = copy_finished_run(tmp_path)
    loaded = api.load(tmp_path / "fake.toml")
    assert api.open_run(loaded, results=run.parent) == run
    (tmp_path / "prompts.txt").write_text("another prompt\n", encoding="utf-8")
    assert api.open_run(loaded, results=run.parent) != run


def test_words_in_brackets_are_printed_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "[odd]"
    folder.mkdir()
    run = copy_finished_run(folder)
    message = "no [/such] file"
    write_outcome(run, "4-steps_fp32", Failed(kind="error", phase="load", message=message, hint="see [/there]"))
    assert console.show_outcomes(run, json=False) == ExitCode.CELLS_FAILED
    console.show_error(ResultsError("damaged [/file]", str(run)))
    printed = capsys.readouterr()
    assert message in printed.out
    assert "[odd]" in printed.out
    assert "[odd]" in printed.err


def test_reused_run_without_images_is_left_alone(tmp_path: Path) -> None:
    first = copy_finished_run(tmp_path)
    kept, gone = sorted(RunFolder(first).images(RERUN_ID).iterdir())[:2]
    gone.unlink()
    loaded = api.load(tmp_path / "fake.toml")
    second = api.open_run(loaded, results=first.parent, fresh=True)
    api.continue_run(second, inline=True)
    outcome = read_outcomes(second)[RERUN_ID]
    assert isinstance(outcome, Completed)
    assert outcome.reused_from is None
    assert not (RunFolder(second).images(RERUN_ID) / kept.name).samefile(kept)


def damage(run: Path) -> Path:
    """Append a byte to an image of a run's rerun, as a failing disk might, and return it."""
    image = sorted(RunFolder(run).images(RERUN_ID).iterdir())[0]
    image.write_bytes(image.read_bytes() + b"x")
    return image


def again(run: Path, **options: bool) -> Path:
    """Run the matrix of a run once more, measured in this process."""
    opened = api.open_run(api.load(run.parent.parent / "fake.toml"), results=run.parent, **options)
    api.continue_run(opened, inline=True)
    return opened


def test_a_damaged_image_is_not_taken_over(tmp_path: Path) -> None:
    first = copy_finished_run(tmp_path)
    image = damage(first)
    before = image.read_bytes()
    second = again(first, fresh=True)
    outcome = read_outcomes(second)[RERUN_ID]
    assert isinstance(outcome, Completed)
    assert outcome.reused_from is None
    assert api.evaluate(second).deltas
    assert image.read_bytes() == before  # nothing is written through a link into the other run


def test_damaged_source_is_passed_over(tmp_path: Path) -> None:
    sound = copy_finished_run(tmp_path)
    damaged = again(sound, fresh=True)
    copied = RunFolder(damaged).images(RERUN_ID)
    for image in copied.iterdir():  # as on a file system without links
        content = image.read_bytes()
        image.unlink()
        image.write_bytes(content)
    damage(damaged)
    outcome = read_outcomes(again(sound, fresh=True))[RERUN_ID]
    assert isinstance(outcome, Completed)
    assert outcome.reused_from == sound.name


def test_advice_for_a_damaged_image_repairs_the_run(tmp_path: Path) -> None:
    first = copy_finished_run(tmp_path)
    second = again(first, fresh=True)
    damage(first)  # and so the second's, which is the same file
    with pytest.raises(ResultsError, match="damaged image") as caught:
        api.evaluate(second)
    assert f"it was taken over from {first.name}" in caught.value.what
    cell = RunFolder(second).cell(RERUN_ID)
    assert f"Delete that cell's folder ({cell}), then: harness run {second}." in caught.value.fix
    shutil.rmtree(cell)
    assert api.reopen_run(second, results=second.parent) == second
    api.continue_run(second, inline=True)
    assert api.evaluate(second).deltas
    assert api.evaluate(again(first, fresh=True)).deltas
    shutil.rmtree(RunFolder(first).cell(RERUN_ID))  # of a run that is not the newest
    api.continue_run(api.reopen_run(first, results=first.parent), inline=True)
    assert api.evaluate(first).deltas


def test_read_only_results_can_be_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise MachineError("no permission to write here")

    run = copy_finished_run(tmp_path)
    monkeypatch.setattr(api, "append_time", refuse)
    assert api.report(run, tmp_path / "out").exists()
