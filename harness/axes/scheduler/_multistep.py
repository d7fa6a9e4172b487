"""Multistep solvers that also walk a flow, with the model's own shift of its sigmas."""

from typing import Any, ClassVar

from harness.axes.scheduler._flow_sigmas import flow_sigmas
from harness.axes.scheduler._karras import WithKarras


class Multistep(WithKarras):
    conflicts: ClassVar = frozenset({"no-pipeline"})
    by_timestep: ClassVar = True

    def flow_options(self, config: Any) -> dict[str, Any]:
        return flow_sigmas(config)
