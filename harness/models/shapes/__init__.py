"""The bundled text-to-image pipeline of coloured shapes: where its files are and how it is best called."""

from pathlib import Path

PIPELINE = Path(__file__).with_name("weights") / "pipeline"
LCM_LORA = Path(__file__).with_name("weights") / "lcm_lora"
GUIDANCE = 3.0
PROMPT_SET = "shapes"
METRICS = (
    "attributes:bundled", "clip:bundled", "detail", "colour", "odd-pictures", "fid:bundled", "lpips:bundled", "psnr",
    "ssim",
)  # fmt: skip
