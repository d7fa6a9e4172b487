"""PNDM, pseudo linear multistep (Liu et al. 2022), the first scheduler of Stable Diffusion 1."""

from typing import ClassVar

from harness.axes.scheduler._solver import Scheduler


class Pndm(Scheduler):
    summary: ClassVar[str] = "pseudo linear multistep, steps + 1 denoiser calls"
    tags: ClassVar = frozenset({"scheduler", "keeps-outputs"})
    scheduler_class: ClassVar = "PNDMScheduler"
    scheduler_options: ClassVar = {"skip_prk_steps": True}
    offset: ClassVar = True
    from_pure_noise: ClassVar = False

    def calls(self, steps: int) -> int:
        return steps + 1 if steps > 1 else 1
