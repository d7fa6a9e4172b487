"""Trace one call of a cell that is measured already, so that nothing that goes wrong here can cost its figures."""

import errno
from pathlib import Path

from harness.core.errors import HarnessError
from harness.core.model import Call, TextToImage
from harness.core.region import region
from harness.core.trace import Trace
from harness.core.units import Absent
from harness.measure.profiler import Written, write_trace
from harness.measure.stages import stage_clock
from harness.store.layout import TRACE, TRACE_FACTS
from harness.store.write import write_atomically
from harness.tracing import read_trace

FULL = "the disk is full: free some space, then harness profile RUN CELL"


def take_trace(model: TextToImage, call: Call, folder: Path) -> Trace | Absent:
    """Trace a call and write the trace and the facts read from it into the cell's folder.

    Never raises for what the profiler, the model or the disk do: the reason is in what it returns.
    """
    if model.pipeline is None:
        return Absent(absent="the model does not run in torch")

    def traced(steps: int) -> None:
        with stage_clock(model.parts(), model.device), region("call"):
            model.generate(call.model_copy(update={"steps": steps}))

    path = folder / TRACE
    try:
        written = write_trace(traced, call.steps, path, model.device)
        (folder / TRACE_FACTS).unlink(missing_ok=True)  # facts of an earlier trace are none of this one
        if written.blind:
            return Absent(absent=written.blind)  # the host's side alone would be taken for the whole
        _write_facts(written, path, folder / TRACE_FACTS)
        return Trace(path=TRACE, size_bytes=path.stat().st_size, steps=written.steps, notes=written.notes)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return Absent(absent=FULL if full else f"the trace could not be written: {error.strerror or error}")
    except HarnessError as error:
        return Absent(absent=f"what the trace says could not be stored: {error.what}")
    except Exception as error:
        return Absent(absent=f"the profiler failed: {type(error).__name__}: {error}"[:500])


def _write_facts(written: Written, path: Path, target: Path) -> None:
    """Store what the trace says beside it."""
    facts = read_trace(path)
    recompiles = written.recompiles or facts.recompiles  # dynamo's own count, where it counted any
    facts = facts.model_copy(update={"recompiles": recompiles, "notes": facts.notes + written.notes})
    write_atomically(target, facts.model_dump_json(indent=1).encode())
