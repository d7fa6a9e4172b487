"""Multistep consistency sampling (Luo et al. 2023): needs a consistency-distilled model."""

from typing import ClassVar

from harness.axes.scheduler._solver import ConsistencyScheduler


class Lcm(ConsistencyScheduler):
    summary: ClassVar[str] = "multistep consistency sampling, for lcm-lora"
    scheduler_class: ClassVar = "LCMScheduler"
