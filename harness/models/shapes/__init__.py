"""The bundled pipeline of coloured shapes: its files and defaults."""

from pathlib import Path

PIPELINE = Path(__file__).with_name("weights") / "pipeline"
LCM_LORA = Path(__file__).with_name("weights") / "lcm_lora"
GUIDANCE = 3.0
PROMPT_SET = "shapes"
METRICS = (
    "attributes:bundled", "clip:bundled", "detail", "colour", "odd-images", "fid:bundled",
    "lpips:bundled", "psnr", "ssim",
)  # fmt: skip
