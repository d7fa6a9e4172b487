"""A finished run of the fake model, made by the real code in well under a second."""

from pathlib import Path

from harness import api

MATRIX = """
name = "fake"
seeds = [0]
[model]
source = "fake"
[axes]
steps = [50, 20, 4]
[prompts]
set = "{prompts}"
[measure]
min_s = 0
max_s = 0.1
[quality]
metrics = ["psnr", "ssim"]
rerun_prompts = 4
"""


def write_matrix(folder: Path, text: str = MATRIX, prompts: int = 6) -> Path:
    """Write a matrix file and its prompts; `{prompts}` in the text stands for their file."""
    words = folder / "prompts.txt"
    words.write_text("".join(f"a photo of thing number {number}\n" for number in range(prompts)), encoding="utf-8")
    path = folder / "fake.toml"
    path.write_text(text.replace("{prompts}", str(words)), encoding="utf-8")
    return path


def finished_run(folder: Path, text: str = MATRIX) -> Path:
    """Return a run all of whose cells completed, measured in this process."""
    run = api.open_run(api.load(write_matrix(folder, text)), results=folder / "results")
    api.continue_run(run, inline=True)
    return run
