"""A torch.profiler trace of one call, in the format that Perfetto opens."""

import gzip
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def write_trace(call: Callable[[], object], path: Path) -> None:
    """Run `call` under the profiler (no stacks: they make traces huge) and write a gzipped Chrome trace."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        call()
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(plain))
        with plain.open("rb") as source, gzip.open(path, "wb", compresslevel=6) as target:
            shutil.copyfileobj(source, target)
