"""DDPM, ancestral sampling of the diffusion process itself (Ho et al. 2020): as many steps as one can afford."""

from typing import ClassVar

from harness.axes.scheduler._solver import Scheduler


class Ddpm(Scheduler):
    summary: ClassVar[str] = "ancestral sampling with fresh noise at every step; wants many"
    scheduler_class: ClassVar = "DDPMScheduler"
    # Latents are not bounded by ±1; clipping, the class's default, is for models of pixels.
    scheduler_options: ClassVar = {"clip_sample": False, "variance_type": "fixed_small"}
    offset: ClassVar = True
