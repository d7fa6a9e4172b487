"""Read traces: what a profiler saw, in facts and in plain advice; no torch."""

from harness.tracing.facts import read_trace

__all__ = ["read_trace"]
