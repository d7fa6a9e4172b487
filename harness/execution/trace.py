"""Trace one call of a measured cell; a failure here does not affect the measurements."""

import errno
import os
import shutil
from pathlib import Path

from harness.core.errors import HarnessError
from harness.core.model import Call, TextToImage
from harness.core.trace import Trace, region
from harness.core.units import Absent
from harness.measure.clock import time_stages
from harness.measure.profiler import Profiled, explain_missing_kernels, profile_call
from harness.store.layout import TRACE, TRACE_FACTS
from harness.store.write import write_atomically
from harness.tracing import read_trace
from harness.tracing.chrome_trace import pack

FULL = "the disk is full: free some space, then run harness profile RUN CELL"


def take_trace(model: TextToImage, call: Call, folder: Path) -> Trace | Absent:
    """Trace a call and write the trace and its facts into the cell's folder, both or neither.

    If the profiler, the model or the disk fails, the result has the reason, and an earlier trace
    stays.
    """
    if model.pipeline is None:
        return Absent(absent="the model does not run in torch")
    remove_scratch(folder)
    try:
        return _take(model, call, folder)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = f"the trace could not be written: {error.strerror or error}"
        return Absent(absent=FULL if full else why)
    except HarnessError as error:
        return Absent(absent=f"the facts of the trace could not be written: {error.what}")
    except Exception as error:
        return Absent(absent=f"the profiler failed: {type(error).__name__}: {error}"[:500])
    finally:
        remove_scratch(folder)


def remove_scratch(folder: Path) -> None:
    """Remove files of an unfinished trace from a cell's folder."""
    shutil.rmtree(_scratch(folder), ignore_errors=True)


def _scratch(folder: Path) -> Path:
    return folder / f".{TRACE}.writing"


def _take(model: TextToImage, call: Call, folder: Path) -> Trace | Absent:
    def traced(steps: int) -> None:
        with time_stages(model.parts(), model.device), region("call"):
            model.generate(call.model_copy(update={"steps": steps}))

    scratch = _scratch(folder)
    scratch.mkdir(parents=True)
    plain = scratch / "plain.json"
    profiled = profile_call(traced, call.steps, plain, model.device)
    packed = pack(plain, scratch / TRACE)
    if model.device.startswith("cuda") and not packed.categories["kernel"]:
        return Absent(absent=explain_missing_kernels())  # a trace of the host alone would mislead
    notes = tuple(note for note in (profiled.note, packed.note) if note)
    _write_facts(plain, profiled, scratch / TRACE_FACTS)
    for name in (TRACE, TRACE_FACTS):
        os.replace(scratch / name, folder / name)
    size_bytes = (folder / TRACE).stat().st_size
    return Trace(path=TRACE, size_bytes=size_bytes, steps=profiled.steps, notes=notes)


def _write_facts(plain: Path, profiled: Profiled, target: Path) -> None:
    """Write the facts of the whole trace: packing may drop short events."""
    facts = read_trace(plain)
    recompiles = profiled.recompiles or facts.recompiles  # dynamo's own count is better
    notes = facts.notes + ((profiled.note,) if profiled.note else ())
    facts = facts.model_copy(update={"recompiles": recompiles, "notes": notes})
    write_atomically(target, facts.model_dump_json(indent=1).encode())
