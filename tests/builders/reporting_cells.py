"""The synthetic cells and metrics of a run made for the report."""

from typing import NamedTuple

from harness.core.machine import Gpu
from harness.core.outcome import Caution
from harness.core.policy import Policy

AXES = ("steps", "distillation", "precision", "compiler", "resolution", "batch")


BASELINE = "50-steps"


class Made(NamedTuple):
    """What one synthetic cell is made of: `loss` is the true calibrated loss, `noise` what images get."""

    id: str
    settings: tuple[str, ...]
    latency_s: float = 1.0
    loss: float = 0.0
    kept: bool = True
    noise: int = 3
    size: int = 64
    compile_s: float = 0.0
    state: str = "completed"
    analysis: int = -1
    """In an adaptive run: the look at which it was judged last."""


class Scene(NamedTuple):
    """What a synthetic run is like: how many prompts, judged by which policy, at which looks, what went wrong."""

    prompts: int = 256
    policy: Policy = Policy()
    interim_analyses: tuple[int, ...] = ()
    blind: tuple[str, ...] = ("ssim",)
    missing: tuple[str, ...] = ()
    unsound: str = ""
    """A metric that finds a loss in identical images."""
    notes: tuple[str, ...] = ()
    """Cautions in the definition of the distribution metric."""
    gpu: bool = False
    evaluated: bool = True
    judged: bool = True

    def get_prompts(self, made: Made) -> int:
        """Return the number of prompts a cell has images of."""
        return self.interim_analyses[made.analysis] if self.interim_analyses else self.prompts


USUAL = Scene()


H200 = Gpu(
    name="NVIDIA H200", capability=(9, 0), memory_bytes=141 << 30, driver="570.1", cuda="12.8", power_limit_w=700
)


CELLS: tuple[Made, ...] = (
    Made("50-steps", ("50", "none", "fp32", "eager", "64x64", "1"), 0.982),
    Made("50-steps_bf16", ("50", "none", "bf16", "eager", "64x64", "1"), 0.611, 0.006, noise=5),
    Made("50-steps_inductor", ("50", "none", "fp32", "inductor", "64x64", "1"), 0.874, 0.0, compile_s=21.0, noise=1),
    Made("50-steps_fp16", ("50", "none", "fp16", "eager", "64x64", "1"), state="skipped"),
    Made("20-steps", ("20", "none", "fp32", "eager", "64x64", "1"), 0.402, 0.017, kept=False, noise=9),
    Made("20-steps_bf16", ("20", "none", "bf16", "eager", "64x64", "1"), 0.251, 0.0555, False, 13),
    Made("8-steps", ("8", "none", "fp32", "eager", "64x64", "1"), 0.171, 0.137, False, 30),
    Made("4-steps", ("4", "none", "fp32", "eager", "64x64", "1"), 0.094, 0.462, False, 75),
    Made("4-steps_lcm-lora", ("4", "lcm-lora", "fp32", "eager", "64x64", "1"), 0.1002, 0.021, False, noise=10),
    Made("4-steps_lcm-lora_bf16", ("4", "lcm-lora", "bf16", "eager", "64x64", "1"), 0.0689, 0.047, False, 14),
    Made("4-steps_lcm-lora_bf16_inductor", ("4", "lcm-lora", "bf16", "inductor", "64x64", "1"), state="failed"),
    Made("50-steps_128px", ("50", "none", "fp32", "eager", "128x128", "1"), 3.91, 0.061, False, 12, 128),
)  # fmt: skip


class Metric(NamedTuple):
    """One synthetic metric: the baseline's score and how it moves with a loss of 1."""

    name: str
    kind: str
    better: str
    baseline: float
    reach: float
    spread: float


METRICS = (
    Metric("fid:bundled", "distribution", "lower", 8.42, 8.42, 0.9),
    Metric("clip:bundled", "alignment", "higher", 31.4, -17.0, 0.35),
    Metric("lpips:bundled", "paired", "lower", 0.004, 0.31, 0.5),
    Metric("psnr", "paired", "higher", 38.0, -24.0, 0.5),
    Metric("ssim", "paired", "higher", 0.991, -0.6, 0.5),
    Metric("attributes:bundled", "correctness", "higher", 0.97, -0.97, 0.3),
    Metric("detail", "distribution", "lower", 0.4, 18.0, 0.2),
)


FEW_STEPS = Caution(kind="few-steps", message="4 steps without distillation", advice="Set distillation.")
