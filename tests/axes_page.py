"""Write docs/axes.md and its images from a run of matrices/axes.toml: `python -m tests.axes_page results/RUN`."""

import math
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from harness import api
from harness.core.outcome import Completed
from harness.core.units import format_percent
from harness.store import read_judgement, read_outcomes, read_plan

ROOT = Path(__file__).parents[1]
PROMPTS, SIDE, LABEL = 8, 96, 210
SHOWN = (
    "50-steps_fp32",
    "50-steps_int8-quanto",
    "50-steps_int4-quanto",
    "50-steps_int2-quanto",
    "50-steps_nf4-bitsandbytes",
    "50-steps_fp32_onnxruntime",
    "50-steps_fp32_openvino",
    "50-steps_fp32_deepcache",
    "50-steps_fp32_deepcache+interval=5",
    "50-steps_fp32_latents-nearest+threshold=0.25",
    "12-steps_fp32_progressive+stages=32-64",
    "4-steps_lcm-lora_fp32",
    "4-steps_fp32",
)
CAPTION = "The same prompts and noise in every row; 50-steps_fp32 is the baseline"


def keep(run: Path) -> None:
    """Write docs/axes-grid.png and docs/axes.md."""
    draw_grid(run).save(ROOT / "docs" / "axes-grid.png", optimize=True)
    (ROOT / "docs" / "axes.md").write_text(page(run), encoding="utf-8")


def draw_grid(run: Path) -> Image.Image:
    """Return one row of images per cell that is shown and completed."""
    plan, outcomes = read_plan(run), read_outcomes(run)
    prompts = [prompt.id for prompt in plan.prompts[:PROMPTS]]
    rows = [(name, made) for name in SHOWN if isinstance(made := outcomes.get(name), Completed)]
    grid = Image.new("RGB", (LABEL + PROMPTS * (SIDE + 4), len(rows) * (SIDE + 4)), "white")
    pen, font = ImageDraw.Draw(grid), ImageFont.load_default(13)
    for row, (name, made) in enumerate(rows):
        top = row * (SIDE + 4)
        for line, words in enumerate(name.split("_")):
            pen.text((6, top + 22 + 17 * line), words, fill="black", font=font)
        paths = {image.prompt_id: image.path for image in made.images if image.seed == plan.matrix.seeds[0]}
        for column, prompt in enumerate(prompts):
            drawn = Image.open(run / "cells" / name / paths[prompt]).convert("RGB")
            grid.paste(drawn.resize((SIDE, SIDE), Image.Resampling.NEAREST), (LABEL + column * (SIDE + 4), top))
    return grid


def page(run: Path) -> str:
    """Return docs/axes.md: what every technique bought, lost and did in this run."""
    plan, outcomes, judged = read_plan(run), read_outcomes(run), read_judgement(run)
    policy = judged.policy.name if judged else "none"
    lines = [
        "# Every technique that runs on a CPU, one at a time",
        "",
        f"`harness bench axes` on {plan.machine.title}: the bundled model, {len(plan.prompts)} images"
        f" per cell, judged by policy {policy}. {len(plan.prompts)} prompts show large losses but are too"
        " few to prove small ones: most cells that keep quality are inconclusive. Raise `prompts.limit`"
        " to decide them.",
        "",
        f"![{CAPTION}](axes-grid.png)",
        "",
        f"*{CAPTION}.*",
        "",
        "| cell | verdict | speedup | worst loss | what was done |",
        "|---|---|---:|---:|---|",
    ]
    baseline = outcomes[plan.baseline_id]
    plain = {did.summary for did in baseline.applied} if isinstance(baseline, Completed) else set()
    lines += [_row(row, outcomes.get(str(row["cell"])), plain) for row in api.frame(run).to_dict("records")]
    return "\n".join(lines) + "\n"


def _row(row: dict, made: object, plain: set[str]) -> str:  # type: ignore[type-arg]
    done = str(row["reason"])
    if isinstance(made, Completed):
        done = "; ".join(did.summary for did in made.applied if did.summary not in plain)
    loss, speed = "", ""
    if isinstance(row["worst_loss_low"], float) and math.isfinite(row["worst_loss_low"]):
        low, high = format_percent(row["worst_loss_low"]), format_percent(row["worst_loss_high"])
        loss = f"{format_percent(row['worst_loss'])} [{low}, {high}] {row['worst_metric']}"
    if isinstance(row["speedup_low"], float) and math.isfinite(row["speedup_low"]):
        speed = f"{row['speedup']:.2f}× [{row['speedup_low']:.2f}, {row['speedup_high']:.2f}]"
    return f"| {row['cell']} | {row['standing']} | {speed} | {loss} | {done} |".replace("_", r"\_")


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
