"""The machine a run was measured on, as a page shows it."""

from harness.core.units import Absent, format_bytes
from harness.reporting.loaded import LoadedRun
from harness.reporting.named import Named
from harness.reporting.wording import plural


def machine_rows(loaded: LoadedRun) -> tuple[Named, ...]:
    """Return what identifies the machine, its software and the model."""
    machine = loaded.plan.machine
    rows = [Named(name="Name", value=machine.name)]
    for gpu in machine.gpus:
        limit = "power limit unknown" if isinstance(gpu.power_limit_w, Absent) else f"{gpu.power_limit_w:.0f} W"
        capability = ".".join(map(str, gpu.capability))
        note = f"compute capability {capability}, driver {gpu.driver}, CUDA {gpu.cuda}, {limit}"
        rows.append(Named(name="GPU", value=f"{gpu.name}, {format_bytes(gpu.memory_bytes)}", note=note))
    if not machine.gpus:
        rows.append(Named(name="GPU", value="none"))
    commit = "unknown" if isinstance(machine.git_commit, Absent) else machine.git_commit[:12]
    rows += [
        Named(name="Processor", value=f"{machine.cpu}, {plural(machine.cpu_cores, 'core')}"),
        Named(name="Memory", value=format_bytes(machine.memory_bytes)),
        Named(name="System", value=machine.os),
        Named(name="Python", value=machine.python),
        Named(name="Commit", value=commit, note="with local changes" if machine.git_dirty is True else ""),
        Named(
            name="Model",
            value=loaded.plan.model.title,
            note=f"{loaded.plan.model.family}, {loaded.plan.model.digest[:12]}",
        ),
    ]
    return tuple(rows)
