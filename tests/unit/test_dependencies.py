"""What the package asks pip for is what it imports."""

import ast
import tomllib
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.readme import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NOT_IMPORTED = {
    "accelerate": "diffusers loads and offloads weights with it",
    "lpips": "its weight files are read",
}
IMPORTED_AS = {
    "bitsandbytes": "bitsandbytes", "onnx": "onnx", "onnxruntime": "onnxruntime", "onnxruntime-gpu": "onnxruntime",
    "onnxscript": "onnxscript", "openvino": "openvino", "optimum-quanto": "optimum", "tensorrt": "tensorrt",
    "tensorrt-rtx": "tensorrt_rtx", "torchao": "torchao",
}  # fmt: skip
"""Import names of optional packages, which need not be installed here."""


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


@pytest.fixture(scope="module")
def mentioned() -> set[str]:
    """Return the packages that the source imports, or names to `find_spec` or to `transformers`' quantizers."""
    found: set[str] = set()
    for path in (ROOT / "harness").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def test_every_dependency_is_imported(mentioned: set[str]) -> None:
    found = packages_distributions()
    imported = {canonicalize_name(name) for module in mentioned for name in found.get(module, [])}
    assert names(PROJECT["dependencies"]) - imported - set(NOT_IMPORTED) == set()


def test_every_extra_is_used(mentioned: set[str]) -> None:
    extras = {key: lines for key, lines in PROJECT["optional-dependencies"].items() if key != "dev"}
    unused = {name for lines in extras.values() for name in names(lines) if IMPORTED_AS.get(name) not in mentioned}
    assert unused == set()


def test_references_of_tests_are_for_developers_only() -> None:
    assert {"torchmetrics", "clean-fid", "pytorch-fid"} <= names(PROJECT["optional-dependencies"]["dev"])
    assert "torchmetrics" not in names(PROJECT["dependencies"])
