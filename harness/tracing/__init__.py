"""Read traces of torch.profiler: facts, comparison and advice, without torch."""

from harness.tracing.advice import advise
from harness.tracing.diff import TraceDiff, compare
from harness.tracing.facts import read_trace
from harness.tracing.rule import Advice, Try
from harness.tracing.summary import summarize_trace
from harness.tracing.traced_cell import Bound, TracedCell, find_bound

__all__ = [
    "Advice",
    "Bound",
    "TraceDiff",
    "TracedCell",
    "Try",
    "advise",
    "compare",
    "find_bound",
    "read_trace",
    "summarize_trace",
]
