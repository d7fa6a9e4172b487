"""Before a metric scores, it scores pictures drawn from a formula: the numbers must be those stored in the package.

A library that resizes, normalises or tokenises in another way changes every score a little and no score visibly
(torchmetrics 1.8 did so to FID). So the real path is run, from uint8 pixels to the number, and compared step by step:
what the network is fed, token ids, features, distances, scores. Where a metric's weights could not be had when the
numbers were made, they end at what the network is fed; `covers` in its vector says so.
"""

from functools import cache
from pathlib import Path
from weakref import WeakKeyDictionary

from pydantic import TypeAdapter

from harness.core.errors import MachineError
from harness.metrics._base import Metric, Network, Scorer
from harness.metrics._observing import observe
from harness.metrics._vector import Vector, difference, versions

VECTORS = Path(__file__).with_name("_selftest.json")
_INPUT_TOLERANCE = 2e-4
_OUTPUT_TOLERANCE = 5e-4
_ARITHMETIC_TOLERANCE = 5e-5
"""Shares of the largest value; the last is for metrics without a network. The widest and the narrowest instructions
of one CPU differ by 4e-6, a wrong resize or normalisation by 1e-3 and more."""

_PASSED: WeakKeyDictionary[Network, set[str]] = WeakKeyDictionary()


def self_test(metric: Metric, scorer: Scorer) -> None:
    """Run the vector of a metric; once per process and loaded network.

    Raises MachineError naming the metric, what was found and expected, and the installed versions.
    """
    passed = _PASSED.setdefault(scorer.network, set())
    if metric.name not in passed:
        compare(metric, vector_of(metric), observe(metric, scorer, whole=bool(vector_of(metric).outputs)))
        passed.add(metric.name)


def vector_of(metric: Metric) -> Vector:
    """Return the stored vector; MachineError if the package has none for this metric."""
    try:
        return _vectors()[metric.name]
    except KeyError:
        fix = "Make it with: python -m tests.selftest_vectors"
        raise MachineError("this metric has no self-test vector", metric.name, fix) from None


@cache
def _vectors() -> dict[str, Vector]:
    return TypeAdapter(dict[str, Vector]).validate_json(VECTORS.read_bytes())


def compare(metric: Metric, expected: Vector, found: Vector) -> None:
    """Raise MachineError for the first thing that is not as expected."""
    for name, digest in expected.shipped.items():
        if found.shipped.get(name) != digest:
            raise _failed(metric, expected, f"{name} has sha256 {found.shipped.get(name)}, expected {digest}")
    output_tolerance = _OUTPUT_TOLERANCE if expected.inputs else _ARITHMETIC_TOLERANCE
    for theirs, ours, tolerance in (
        (expected.inputs, found.inputs, _INPUT_TOLERANCE),
        (expected.outputs, found.outputs, output_tolerance),
    ):
        if len(theirs) != len(ours):
            raise _failed(metric, expected, f"{len(ours)} steps were seen, expected {len(theirs)}")
        for wanted, here in zip(theirs, ours, strict=True):
            if wrong := difference(wanted, here, tolerance):
                raise _failed(metric, expected, wrong)


def _failed(metric: Metric, expected: Vector, wrong: str) -> MachineError:
    what = f"{metric.name} does not give the number it should here, so nothing is scored with it. {wrong}"
    where = f"self-test of {metric.name}"
    fix = (
        f"An installed library changed the number. Installed: {versions()}. The expected number was made with: "
        f"{expected.made_with}. Install those versions, or leave the metric out of quality.metrics."
    )
    return MachineError(what, where, fix)
