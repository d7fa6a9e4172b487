"""A finished run of the fake model, made by the real code in well under a second."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from harness import api
from harness.store.layout import RunFolder

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


def copy_finished_run(folder: Path) -> Path:
    """Return a copy of a finished run of the usual matrix, which each test process measures once."""
    template = _measure_template()
    shutil.copytree(template.parents[1], folder, dirs_exist_ok=True)
    run = folder / "results" / template.name
    for path in (folder / "fake.toml", RunFolder(run).run_json, RunFolder(run).matrix_toml):
        text = path.read_text(encoding="utf-8").replace(str(template.parents[1]), str(folder))
        path.write_text(text, encoding="utf-8")
    return run


@cache
def _measure_template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="fake-run-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return finished_run(folder)
