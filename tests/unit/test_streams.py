"""What is printed stays whole: narrow encodings, pipes nobody reads, full disks, long tables."""

import ast
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from harness import api
from harness.cli import console
from harness.cli.streams import guard_streams
from harness.cli.tables import print_table
from harness.store import read_plan
from tests.builders.fake_run import MATRIX, finished_run
from tests.readme import ROOT

NARROW = {
    "ascii": "lost -0.5 % +/- 2 ..., 0.52x -> 10^2*3, 1/2 ?",
    "latin-1": "lost -0.5 % ± 2 ..., 0.52× -> 10²·3, ½ ?",
    "cp1252": "lost -0.5 % ± 2 …, 0.52× -> 10²·3, ½ ?",
    "utf-8": "lost −0.5 % ± 2 …, 0.52× → 10²·3, ½ 猫",
}
LONG = "50-steps_" + "a-long-word_" * 30


def harness(
    *words: str, stdout: int = subprocess.PIPE, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "harness", *words]
    around = {**os.environ, **(environment or {})}
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, env=around, cwd=ROOT, check=False)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_narrow_encoding_does_not_end_a_command(encoding: str) -> None:
    whole = harness("axes", environment={"PYTHONIOENCODING": "utf-8"})
    narrow = harness("axes", environment={"PYTHONIOENCODING": encoding})
    assert narrow.returncode == 0, narrow.stderr
    lines = whole.stdout.decode("utf-8").splitlines()
    assert len(narrow.stdout.splitlines()) == len(lines)
    assert any("…" in line for line in lines)
    assert b"..." in narrow.stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_narrow_encoding_keeps_numbers(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    guard_streams()
    for guarded, stream in zip((sys.stdout, sys.stderr), streams, strict=True):
        print("lost −0.5 % ± 2 …, 0.52× → 10²·3, ½ 猫", end="", file=guarded, flush=True)
        assert isinstance(stream.buffer, io.BytesIO)
        assert stream.buffer.getvalue().decode(encoding) == NARROW[encoding]


def test_json_loses_nothing_to_a_narrow_encoding() -> None:
    found = [harness("axes", "--json", environment={"PYTHONIOENCODING": name}) for name in ("ascii", "utf-8")]
    assert json.loads(found[0].stdout) == json.loads(found[1].stdout)
    assert found[0].stdout.isascii() and not found[1].stdout.isascii()


@pytest.mark.parametrize(("words", "code"), [(["axes"], 0), (["--help"], 0), (["schema"], 0), (["gate", "nowhere"], 7)])
def test_a_closed_pipe_does_not_change_the_exit_code(words: list[str], code: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    answer = harness(*words, stdout=writer)
    os.close(writer)
    assert answer.returncode == code
    assert b"Broken pipe" not in answer.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_named() -> None:
    with open("/dev/full", "wb") as full:
        answer = harness("axes", stdout=full.fileno())
    assert answer.returncode == 4
    assert b"standard output: cannot write: No space left on device" in answer.stderr


@pytest.mark.parametrize("option", ["--results", "--model"])
def test_a_name_that_is_not_text_is_refused(option: str) -> None:
    answer = harness("plan", "quickstart", option, os.fsdecode(b"r\xe9"))
    assert answer.returncode == 2
    assert rb"error r\udce9: this name is not UTF-8 text" in answer.stderr


def test_prompts_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_json({"prompt": "a :heart: on a sign"})
    assert json.loads(capsys.readouterr().out) == {"prompt": "a :heart: on a sign"}


@pytest.mark.parametrize("colours", [False, True])
def test_tables_on_a_pipe_are_not_cut(colours: bool) -> None:
    file = io.StringIO()
    table = Table("cell", "latency", box=None)
    table.add_row(LONG, "1.5 s")
    print_table(Console(file=file, width=80, force_terminal=colours), table)
    rows = file.getvalue().splitlines()
    assert len(rows) == 2
    assert rows[1].split() == [LONG, "1.5", "s"]


def test_tables_on_a_terminal_are_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(file, "isatty", lambda: True, raising=False)
    table = Table("cell", "latency", box=None)
    table.add_row(LONG, "1.5 s")
    print_table(Console(file=file, width=40, color_system=None), table)
    rows = file.getvalue().splitlines()
    assert all(len(row) <= 40 for row in rows)
    assert "".join(rows).replace(" ", "").replace("1.5s", "") == "celllatency" + LONG


def test_every_table_of_a_run_is_whole_on_a_pipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "out", Console(width=20, soft_wrap=True))
    run = finished_run(tmp_path, MATRIX.replace("50, 20, 4", "50, 4"))
    plan = read_plan(run)
    console.show_plan(plan, json=False)
    console.show_outcomes(run, json=False)
    console.show_evaluation(api.evaluate(run), json=False)
    console.show_comparison(api.compare(run, run), json=False)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [len(row) >= 4 for row in rows if row[:1] == ["4-steps_fp32"]] == [True] * 5


def test_only_one_place_prints_tables() -> None:
    for file in (ROOT / "harness" / "cli").glob("*.py"):
        calls = [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        printed = [ast.unparse(call) for call in calls if ast.unparse(call.func).endswith(".print")]
        assert file.name == "tables.py" or not any("table" in call for call in printed), file
