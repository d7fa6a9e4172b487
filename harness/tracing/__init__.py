"""Read traces: what a profiler saw, in facts and in plain advice; no torch."""

from harness.tracing.advice import advise
from harness.tracing.bound import Bound, bound_of
from harness.tracing.changes import TraceDiff
from harness.tracing.diff import compare
from harness.tracing.facts import read_trace
from harness.tracing.rule import Advice, Try
from harness.tracing.scene import Scene
from harness.tracing.summary import summary

__all__ = [
    "Advice",
    "Bound",
    "Scene",
    "TraceDiff",
    "Try",
    "advise",
    "bound_of",
    "compare",
    "read_trace",
    "summary",
]
