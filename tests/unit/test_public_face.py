"""The public names, and what no file of the package may hold."""

import ast

import pytest

import harness
from tests.figures_of_code import ROOT, read_sources

FILES = read_sources("harness")
ENCODING_POSITION = {"read_text": 0, "write_text": 1}


def test_every_public_name_is_there_and_nothing_else() -> None:
    assert all(hasattr(harness, name) for name in harness.__all__)
    assert harness.__all__ == sorted(
        [
            "Absent", "Cell", "Completed", "Delta", "Evaluation", "ExitCode", "Failed", "HarnessError", "Judgement",
            "LoadedMatrix", "Machine", "MachineError", "Matrix", "MatrixError", "NothingToDo",
            "Outcome", "Plan", "Repeat",
            "ResultsError", "Score", "Skipped", "UsageError", "bench", "evaluate", "frame", "gate", "load", "plan",
            "report", "run",
        ]
    )  # fmt: skip
    with pytest.raises(AttributeError):
        harness.nothing  # noqa: B018


def test_text_files_name_their_encoding() -> None:
    """Ruff checks only calls whose object it knows to be a Path."""
    calls = [(source.name, node) for source in FILES for node in source.nodes if isinstance(node, ast.Call)]
    found = [
        f"{name}:{call.lineno}: {ast.unparse(call)}"
        for name, call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr in ENCODING_POSITION
        if "encoding" not in {keyword.arg for keyword in call.keywords}
        if len(call.args) <= ENCODING_POSITION[call.func.attr]
    ]
    assert found == []


def test_no_module_is_named_after_nothing() -> None:
    forbidden = {"utils", "helpers", "common", "misc"}
    assert not [source.name for source in FILES if forbidden & {source.path.stem, source.path.parent.name}]


def test_no_path_of_this_machine_is_in_the_package() -> None:
    words = ("/work/", "/root/", "/home/")
    for path in [*(source.path for source in FILES), ROOT / "README.md", *(ROOT / "matrices").glob("*.toml")]:
        assert not any(word in path.read_text(encoding="utf-8") for word in words), path
