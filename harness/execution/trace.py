"""Trace one call of a cell that is measured already, so that nothing that goes wrong here can cost its figures."""

import errno
import os
import shutil
from pathlib import Path

from harness.core.errors import HarnessError
from harness.core.model import Call, TextToImage
from harness.core.trace import Trace, region
from harness.core.units import Absent
from harness.measure.clock import stage_clock
from harness.measure.profiler import Profiled, profile_call, why_blind
from harness.store.layout import TRACE, TRACE_FACTS
from harness.store.write import write_atomically
from harness.tracing import read_trace
from harness.tracing.chrome_trace import pack

FULL = "the disk is full: free some space, then harness profile RUN CELL"


def take_trace(model: TextToImage, call: Call, folder: Path) -> Trace | Absent:
    """Trace a call and write the trace and the facts read from it into the cell's folder, both or neither.

    Never raises for what the profiler, the model or the disk do: the reason is in what it returns, and an earlier
    trace stays.
    """
    if model.pipeline is None:
        return Absent(absent="the model does not run in torch")
    remove_scratch(folder)
    try:
        return _take(model, call, folder)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return Absent(absent=FULL if full else f"the trace could not be written: {error.strerror or error}")
    except HarnessError as error:
        return Absent(absent=f"what the trace says could not be stored: {error.what}")
    except Exception as error:
        return Absent(absent=f"the profiler failed: {type(error).__name__}: {error}"[:500])
    finally:
        remove_scratch(folder)


def remove_scratch(folder: Path) -> None:
    """Remove what a trace that was never finished left in a cell's folder."""
    shutil.rmtree(_scratch(folder), ignore_errors=True)


def _scratch(folder: Path) -> Path:
    return folder / f".{TRACE}.writing"


def _take(model: TextToImage, call: Call, folder: Path) -> Trace | Absent:
    def traced(steps: int) -> None:
        with stage_clock(model.parts(), model.device), region("call"):
            model.generate(call.model_copy(update={"steps": steps}))

    scratch = _scratch(folder)
    scratch.mkdir(parents=True)
    plain = scratch / "plain.json"
    profiled = profile_call(traced, call.steps, plain, model.device)
    packed = pack(plain, scratch / TRACE)
    if model.device.startswith("cuda") and not packed.categories["kernel"]:
        return Absent(absent=why_blind())  # the host's side alone would be taken for the whole
    notes = tuple(note for note in (profiled.note, packed.note) if note)
    _write_facts(plain, profiled, scratch / TRACE_FACTS)
    for name in (TRACE, TRACE_FACTS):
        os.replace(scratch / name, folder / name)
    return Trace(path=TRACE, size_bytes=(folder / TRACE).stat().st_size, steps=profiled.steps, notes=notes)


def _write_facts(plain: Path, profiled: Profiled, target: Path) -> None:
    """Store what the whole trace says, of which the packed one may lack what is small."""
    facts = read_trace(plain)
    recompiles = profiled.recompiles or facts.recompiles  # dynamo's own count, where it counted any
    notes = facts.notes + ((profiled.note,) if profiled.note else ())
    facts = facts.model_copy(update={"recompiles": recompiles, "notes": notes})
    write_atomically(target, facts.model_dump_json(indent=1).encode())
