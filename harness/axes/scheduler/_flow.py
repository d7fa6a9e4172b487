"""Schedulers that are for flow matching alone."""

from typing import Any, ClassVar

from harness.axes.scheduler._swap import Scheduler
from harness.core.axis import Context


class Flow(Scheduler):
    conflicts: ClassVar = frozenset({"no-pipeline", "diffusion"})

    def flow_options(self, config: Any) -> dict[str, Any]:
        # Sana's own scheduler is a DPM solver, which calls the shift differently.
        own = {} if "shift" in config else {"shift": config.get("flow_shift", 1.0)}
        return {**own, **self.options()}

    def refuse(self, context: Context) -> str | None:
        return None
