"""DDPM, ancestral sampling of the diffusion process (Ho et al. 2020)."""

from typing import ClassVar

from harness.axes.scheduler._solver import Scheduler


class Ddpm(Scheduler):
    summary: ClassVar[str] = "ancestral sampling with fresh noise at every step; needs many steps"
    scheduler_class: ClassVar = "DDPMScheduler"
    # Clipping to ±1, the default, is for models of pixels.
    scheduler_options: ClassVar = {"clip_sample": False, "variance_type": "fixed_small"}
    offset: ClassVar = True
