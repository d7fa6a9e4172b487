"""Whether a cell was looked into with a profiler, and how to do that."""

from harness.reporting.loaded import LoadedRun


def profile_command(loaded: LoadedRun, cell_id: str) -> str:
    """Return the command that traces one cell of a finished run."""
    return f"harness profile {loaded.run.name} {cell_id}"


def is_profiled(loaded: LoadedRun, cell_id: str) -> bool:
    """Whether a cell has a trace that can be read."""
    return cell_id in loaded.traces
