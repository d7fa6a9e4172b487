"""Results on disk: where everything lies, written atomically, read with clear errors."""

from harness.store.caches import build_cache_dir, features_cache_dir, find_cache
from harness.store.layout import RunFolder, report_folder
from harness.store.lock import lock_run
from harness.store.read import (
    completed_twins,
    find_run,
    find_source,
    image_path,
    read_evaluation,
    read_image_scores,
    read_judgement,
    read_outcomes,
    read_plan,
    read_times,
    read_trace_facts,
    readable_runs,
    resolve_run,
)
from harness.store.traced import read_traced
from harness.store.write import (
    append_time,
    begin_cell,
    create_run,
    rewrite_plan,
    write_evaluation,
    write_image_scores,
    write_judgement,
    write_outcome,
)

__all__ = [
    "RunFolder",
    "append_time",
    "begin_cell",
    "build_cache_dir",
    "create_run",
    "features_cache_dir",
    "completed_twins",
    "find_cache",
    "find_run",
    "image_path",
    "lock_run",
    "read_evaluation",
    "read_image_scores",
    "read_judgement",
    "read_outcomes",
    "read_plan",
    "read_times",
    "read_trace_facts",
    "read_traced",
    "readable_runs",
    "report_folder",
    "resolve_run",
    "rewrite_plan",
    "find_source",
    "write_evaluation",
    "write_image_scores",
    "write_judgement",
    "write_outcome",
]
