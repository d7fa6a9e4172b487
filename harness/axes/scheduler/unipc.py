"""UniPC, a predictor-corrector multistep solver (Zhao et al. 2023)."""

from typing import ClassVar

from harness.axes.scheduler._solver import MultistepScheduler


class UniPc(MultistepScheduler):
    summary: ClassVar[str] = "predictor and corrector, second order multistep, for 5–10 steps"
    scheduler_class: ClassVar = "UniPCMultistepScheduler"
    scheduler_options: ClassVar = {"solver_type": "bh2"}
    examples: ClassVar = ("unipc+karras",)
