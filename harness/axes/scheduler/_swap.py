"""Swap a pipeline's scheduler for another class, keeping the noise schedule the model was trained with."""

from typing import Any, ClassVar

from harness.core.axis import AxisValue
from harness.core.model import TextToImage


class Scheduler(AxisValue):
    """A diffusers scheduler class with the settings that make it this value."""

    trajectory: ClassVar = "changed"
    tags: ClassVar = frozenset({"scheduler"})
    conflicts: ClassVar = frozenset({"no-pipeline"})
    scheduler_class: ClassVar[str]
    scheduler_options: ClassVar[dict[str, Any]] = {}

    def apply(self, model: TextToImage) -> tuple[str, ...]:
        import diffusers

        config = model.pipeline.scheduler.config
        kept = {"timestep_spacing": "trailing"} if config.get("rescale_betas_zero_snr") else {}
        scheduler = getattr(diffusers, self.scheduler_class)
        model.pipeline.scheduler = scheduler.from_config(config, **{**kept, **self.scheduler_options})
        return (f"scheduler: {self.scheduler_class}",)
