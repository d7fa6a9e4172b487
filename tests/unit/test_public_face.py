"""The public names, and the shape of the house: small files, small functions, few parameters, no cupboards."""

import ast
from pathlib import Path

import pytest

import harness

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "harness").rglob("*.py"))


def test_every_public_name_is_there_and_nothing_else() -> None:
    assert all(hasattr(harness, name) for name in harness.__all__)
    assert harness.__all__ == sorted(
        [
            "Absent", "Cell", "Completed", "Delta", "Evaluation", "ExitCode", "Failed", "HarnessError", "Judgement",
            "LoadedMatrix", "Machine", "MachineError", "Matrix", "MatrixError", "NothingToDo", "Outcome", "Plan", "Repeat",
            "ResultsError", "Score", "Skipped", "UsageError", "bench", "evaluate", "frame", "gate", "load", "plan",
            "report", "run",
        ]
    )  # fmt: skip
    with pytest.raises(AttributeError):
        harness.nothing  # noqa: B018


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    place = path.relative_to(ROOT / "harness").parts
    limit = {("axes", 3): 80, ("metrics", 2): 200}.get((place[0], len(place)), 400)
    if path.name.startswith("_"):
        limit = {80: 160}.get(limit, 400)  # what the values of one axis, or several metrics, share
    assert lines <= limit, f"{lines} lines, {limit} allowed"
    for function in functions(path):
        assert (function.end_lineno or 0) - function.lineno < 40 + 5, f"{function.name} is long"
        arguments = function.args
        named = [a for a in [*arguments.posonlyargs, *arguments.args] if a.arg not in ("self", "cls")]
        if place[0] != "cli":  # a command's parameters are its options
            assert len(named) <= 5, f"{function.name} takes {len(named)} parameters: make them a record"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_text_files_name_their_encoding(path: Path) -> None:
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith((".read_text", ".write_text")):
            named = {keyword.arg for keyword in call.keywords}
            assert "encoding" in named, f"line {call.lineno}: {ast.unparse(call)}"  # ruff sees it of known Paths only


def test_there_are_no_cupboards() -> None:
    forbidden = {"utils", "helpers", "common", "misc"}
    assert not [path for path in FILES if path.stem in forbidden or path.parent.name in forbidden]


def test_no_path_of_this_machine_is_in_the_package() -> None:
    words = ("/work/", "/root/", "/home/")
    for path in [*FILES, ROOT / "README.md", *(ROOT / "matrices").glob("*.toml")]:
        assert not any(word in path.read_text(encoding="utf-8") for word in words), path
