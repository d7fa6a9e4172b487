"""What the package asks pip for is what it imports."""

import ast
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.readme import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NOT_IMPORTED = {
    "lpips": "its weight files are read",
    "peft": "diffusers loads LoRA adapters with it",
}
IMPORTED_AS = {
    "bitsandbytes": "bitsandbytes", "onnx": "onnx", "onnxruntime": "onnxruntime", "onnxruntime-gpu": "onnxruntime",
    "onnxscript": "onnxscript", "openvino": "openvino", "optimum-quanto": "optimum", "tensorrt": "tensorrt",
    "tensorrt-rtx": "tensorrt_rtx", "torchao": "torchao", "wandb": "wandb",
}  # fmt: skip
"""Import names of optional packages, which need not be installed here."""


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


def sources() -> Iterator[ast.AST]:
    for path in (ROOT / "harness").rglob("*.py"):
        yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def imported(nodes: Iterable[ast.AST]) -> set[str]:
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_every_dependency_is_imported() -> None:
    distributions = packages_distributions()
    used = {canonicalize_name(name) for module in imported(sources()) for name in distributions.get(module, [])}
    assert names(PROJECT["dependencies"]) - used == set(NOT_IMPORTED)


def test_every_extra_is_used() -> None:
    nodes = list(sources())  # an extra is imported, or looked for by its name
    used = imported(nodes) | {node.value for node in nodes if isinstance(node, ast.Constant)}
    extras = {key: lines for key, lines in PROJECT["optional-dependencies"].items() if key != "dev"}
    assert {name for lines in extras.values() for name in names(lines) if IMPORTED_AS.get(name) not in used} == set()


def test_references_of_tests_are_for_developers_only() -> None:
    assert {"torchmetrics", "clean-fid", "pytorch-fid"} <= names(PROJECT["optional-dependencies"]["dev"])
    assert "torchmetrics" not in names(PROJECT["dependencies"])
