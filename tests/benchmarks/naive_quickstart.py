"""The quickstart as one would script it in an afternoon: diffusers, torchmetrics and lpips, one process, no harness.

The same cells, images, repeats and metric nets; no intervals, no controls, no rerun, no report, no resume.

python -m tests.benchmarks.naive_quickstart [MATRIX] [--quick]     # --quick: the baseline alone, of 4 prompts
"""

import argparse
import hashlib
import time
from pathlib import Path
from typing import Any

import lpips
import torch
from diffusers import LCMScheduler, StableDiffusionXLPipeline
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure
from torchmetrics.image.fid import FrechetInceptionDistance

from harness.api import load, plan
from harness.core.plan import OTHER_SEED_ID, PlannedCell, Prompt
from harness.metrics.bundled import attributes, clip
from harness.models import shapes

BATCH = 32
REPEATS = 5


class Features(torch.nn.Module):
    """The attribute net's features, as torchmetrics' FID wants them."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net
        self.num_features = 128

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.net.features(images.float() / 255 if images.dtype == torch.uint8 else images)


def build(settings: dict[str, str]) -> Any:
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[settings["precision"]]
    pipeline = StableDiffusionXLPipeline.from_pretrained(str(shapes.PIPELINE), dtype=dtype)
    pipeline.set_progress_bar_config(disable=True)
    if settings["distillation"] == "lcm-lora":
        pipeline.load_lora_weights(str(shapes.LCM_LORA))
        pipeline.fuse_lora()
        pipeline.scheduler = LCMScheduler.from_config(pipeline.scheduler.config, timestep_spacing="trailing")
    if settings["compiler"] == "inductor":
        pipeline.unet = torch.compile(pipeline.unet, fullgraph=True, dynamic=True)
    return pipeline


def generate(pipeline: Any, settings: dict[str, str], prompts: list[Prompt], seed: int) -> torch.Tensor:
    width, height = (int(side) for side in settings["resolution"].split("x"))
    seeds = [int.from_bytes(hashlib.sha256(f"{p.id}{seed}".encode()).digest()[:6], "big") for p in prompts]
    images = pipeline(
        prompt=[prompt.text for prompt in prompts],
        generator=[torch.Generator().manual_seed(value) for value in seeds],
        num_inference_steps=int(settings["steps"]),
        guidance_scale=float(settings["guidance"]),
        width=width,
        height=height,
        output_type="pt",
    ).images
    return images.float()


def score(
    images: torch.Tensor, baseline: torch.Tensor, reference: torch.Tensor, texts: list[str], nets: Any
) -> list[float]:
    net, dual = nets
    if images.shape != baseline.shape:
        images = torch.nn.functional.interpolate(images, baseline.shape[-2:], mode="bilinear", antialias=True)
    fid = FrechetInceptionDistance(Features(net), normalize=True)
    for part in images.split(64):
        fid.update(part, real=False)
    for part in reference.split(64):
        fid.update(part, real=True)
    psnr, ssim = PeakSignalNoiseRatio(data_range=1.0), StructuralSimilarityIndexMeasure(data_range=1.0)
    pairs = list(zip(images.split(64), baseline.split(64), strict=True))
    distance = sum(float(perceptual(net, a, b).sum()) for a, b in pairs) / len(images)
    alignment = sum(
        float((clip.encode_image(dual, a) * clip.encode_text(dual, texts[64 * i : 64 * i + len(a)])).sum())
        for i, (a, _) in enumerate(pairs)
    ) / len(images)
    return [
        float(fid.compute()),
        100 * alignment,
        distance,
        float(psnr(images, baseline)),
        float(ssim(images, baseline)),
    ]


def perceptual(net: Any, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """LPIPS' formula on the attribute net's maps, by lpips' own functions."""
    total = 0
    for pair in zip(net.maps(first), net.maps(second), strict=True):
        a, b = (lpips.normalize_tensor(part) for part in pair)
        total = total + lpips.spatial_average((a - b) ** 2, keepdim=False).sum(1)
    return torch.as_tensor(total)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description="The quickstart without harness.")
    parser.add_argument("matrix", type=Path, nargs="?", default=Path(__file__).parents[2] / "matrices/quickstart.toml")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    decided = plan(load(options.matrix))
    prompts, repeats = list(decided.prompts)[: 4 if options.quick else None], 1 if options.quick else REPEATS
    cells: list[PlannedCell] = [planned for planned in decided.cells if planned.role != "rerun"]
    if options.quick:
        cells = [planned for planned in cells if planned.role != "candidate"]
    nets = attributes.load(), clip.load()
    pixels: dict[str, torch.Tensor] = {}
    for planned in cells:
        settings = planned.cell.by_axis
        pipeline = build(settings)
        latencies = []
        if planned.role != "other-seed":
            generate(pipeline, settings, prompts[:1], 0)
            for _ in range(repeats):
                begin = time.perf_counter()
                generate(pipeline, settings, prompts[:1], 0)
                latencies.append(time.perf_counter() - begin)
        seed = decided.get_seeds(planned)[0]
        parts = [prompts[start : start + BATCH] for start in range(0, len(prompts), BATCH)]
        pixels[planned.id] = torch.cat([generate(pipeline, settings, part, seed) for part in parts])
    baseline, reference = pixels[decided.baseline_id], pixels[OTHER_SEED_ID]
    texts = [prompt.text for prompt in prompts]
    for cell_id, images in pixels.items():
        print(cell_id, [round(value, 3) for value in score(images, baseline, reference, texts, nets)])


if __name__ == "__main__":
    main()
