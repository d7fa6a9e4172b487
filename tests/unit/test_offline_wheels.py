"""The packages that h200-synthetic.toml tells to carry to an offline machine are those that a run imports there."""

import ast
import importlib.metadata as metadata
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.readme import ROOT

AT_HAND = ("torch", "transformers", "accelerate", "peft")
NOT_IN_A_RUN = {
    "claims", "deployment", "evaluation", "exporting", "gating", "history", "metrics", "nightly", "reporting", "review",
    "signing", "stats",
}  # fmt: skip
"""Packages of harness that a run does not enter; a report is drawn elsewhere."""
NOT_IN_ITS_CELLS = {
    "bitsandbytes", "onnxruntime", "onnxscript", "onnx", "open_clip", "openvino", "optimum", "pandas",
    "tensorrt", "tensorrt_rtx",
}  # fmt: skip
"""What only other values, single-file checkpoints and `harness.frame` import."""


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def with_requirements(names: Iterable[str]) -> set[str]:
    """Return these packages and all that they require, of those that are installed."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            requirements = [Requirement(text) for text in metadata.requires(name) or ()]
        except metadata.PackageNotFoundError:
            continue
        waiting += [canonicalize_name(r.name) for r in requirements if not r.marker or r.marker.evaluate({"extra": ""})]
    return found


def test_wheel_list_equals_what_a_run_imports() -> None:
    (line,) = re.findall(
        r"pip download -d wheels (.+)", (ROOT / "matrices" / "h200-synthetic.toml").read_text(encoding="utf-8")
    )
    named = {canonicalize_name(name) for name in line.split()}
    files = [path for path in (ROOT / "harness").rglob("*.py") if path.parts[len(ROOT.parts) + 1] not in NOT_IN_A_RUN]
    modules = {name for path in files for name in imported(path)}
    modules -= {*sys.stdlib_module_names, "harness", *NOT_IN_ITS_CELLS}
    owners = metadata.packages_distributions()
    needed = {canonicalize_name(owner) for module in modules for owner in owners.get(module, [module])}
    assert needed - with_requirements({*AT_HAND, *named}) == set()
    assert named - needed == set()
