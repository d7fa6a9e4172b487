"""DDIM, the deterministic first-order solver (Song et al. 2021)."""

from typing import ClassVar

from harness.axes.scheduler._swap import Scheduler


class Ddim(Scheduler):
    summary: ClassVar[str] = "first order, deterministic"
    scheduler_class: ClassVar = "DDIMScheduler"
