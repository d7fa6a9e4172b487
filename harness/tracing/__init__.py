"""Read traces: what a profiler saw, in facts and in plain advice; no torch."""
