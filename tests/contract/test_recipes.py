"""Standalone files make the images of their cells, without harness."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from harness.axes import read_entry, resolve_setting
from harness.cli.commands import app
from harness.core.errors import NoEffect, ResultsError, UsageError
from harness.core.recipe import NoRecipe
from harness.deployment.recipe_parts import collect_parts
from harness.results import Run
from tests.builders.cell_on_model import BUNDLED, FLOAT, Planned, distance, plan_cell, run_cell
from tests.builders.lora_on_the_spot import write_denoiser, write_lora
from tests.builders.recipe_run import deployable, draw_images, execute, write_file
from tests.contract.test_axes import COMPILED_BLOCK, MODELS, NAMED, OPEN, SPELLINGS, takes_long
from tests.tiny import FAMILIES

SAMPLE = next((Path(__file__).parents[2] / "results" / "sample").glob("2*"))
NO_FILE = ("onnxruntime", "openvino", "tensorrt", "tensorrt-rtx", "latents", "latents-nearest", "auto")
"""Values that only harness can apply."""
FIRST = [pair for pair in (*NAMED, *OPEN.items()) if pair[1] not in NO_FILE and not takes_long(*pair, "sd")]
REST = [pair for pair in SPELLINGS if pair not in FIRST and read_entry(*pair).name not in NO_FILE]


def check(planned: Planned, axis: str, name: str, cache: Path, path: Path) -> None:
    """The file's images are those of harness, by the value's own repeatability and float rounding."""
    try:
        made = run_cell(planned, cache)
    except NoEffect:
        return
    text = write_file(deployable(planned, made.applied), path)
    images = np.asarray(draw_images(execute(text, path)), dtype=np.float64)
    value = resolve_setting(read_entry(axis, name))
    assert distance(images, made.first) <= max(value.repeatability, FLOAT)


def place(family: str, tiny: Callable[[str], Path]) -> Path:
    return BUNDLED if family == "bundled" else tiny(family)


@pytest.mark.parametrize(("axis", "name"), FIRST)
def test_file_makes_the_images_of_a_value(
    axis: str, name: str, tiny: Callable[[str], Path], cache: Path, tmp_path: Path
) -> None:
    """On the first family that the value runs on."""
    for family in ("sd", "flux", "bundled", "sdxl"):
        planned = plan_cell(place(family, tiny), {axis: name})
        if planned.reason is None:
            return check(planned, axis, name, cache, tmp_path / "cell.py")


@pytest.mark.slow
@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize(("axis", "name"), [*FIRST, *REST])
def test_file_makes_the_images_on_each_family(
    axis: str, name: str, family: str, tiny: Callable[[str], Path], cache: Path, tmp_path: Path
) -> None:
    planned = plan_cell(place(family, tiny), {axis: name})
    if planned.reason is None and name != COMPILED_BLOCK:
        check(planned, axis, name, cache, tmp_path / "cell.py")


@pytest.mark.parametrize("family", FAMILIES)
def test_plain_file_is_exact_on_each_family(family: str, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    planned = plan_cell(tiny(family), {})
    text = write_file(deployable(planned), path := tmp_path / "cell.py")
    images = np.asarray(draw_images(execute(text, path)), dtype=np.float64)
    assert distance(images, run_cell(planned, tmp_path).first) <= FLOAT


@pytest.mark.parametrize("entry", ["lora+weights={file}", "lora+weights={file}+fuse=false", "unet+weights={denoiser}"])
def test_local_weights_are_loaded_by_the_file(entry: str, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tiny("sd")
    files = {"file": write_lora(folder, tmp_path / "lora" / "own.safetensors")}
    if "denoiser" in entry:
        files["denoiser"] = write_denoiser(folder, tmp_path / "denoiser.safetensors")
    planned = plan_cell(folder, {"distillation": entry.format(**files)})
    assert planned.reason is None
    check(planned, "distillation", "none", tmp_path, tmp_path / "cell.py")


def test_weights_that_are_gone_are_named(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    file = write_lora(tiny("sd"), tmp_path / "lora" / "own.safetensors")
    cell = deployable(plan_cell(tiny("sd"), {"distillation": f"lora+weights={file}"}))
    file.unlink()
    with pytest.raises(ResultsError, match=r"distillation lora.* gone"):
        collect_parts(cell)


def test_changed_model_is_refused(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(tiny("sd"), tmp_path / "sd")
    cell = deployable(plan_cell(folder, {}))
    (folder / "scheduler" / "scheduler_config.json").write_text('{"_class_name": "DDIMScheduler"}', encoding="utf-8")
    with pytest.raises(ResultsError, match="not those of the run"):
        collect_parts(cell)
    shutil.rmtree(folder)
    with pytest.raises(UsageError):
        collect_parts(cell)


@pytest.mark.parametrize(("axis", "name"), [("caching", "latents"), ("compiler", "openvino")])
def test_values_of_harness_alone_are_refused(axis: str, name: str, tiny: Callable[[str], Path]) -> None:
    planned = plan_cell(tiny("sd"), {axis: name})
    if planned.reason is None:
        value = resolve_setting(read_entry(axis, name))
        assert isinstance(value.recipe(None), NoRecipe)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=rf"no standalone file: {axis} {name}"):
            collect_parts(deployable(planned))


def test_file_of_the_sample_runs_in_a_clean_process(tmp_path: Path) -> None:
    """The command, a process without harness, and an image of the committed run."""
    file = tmp_path / "fast.py"
    made = CliRunner().invoke(app, ["recipe", str(SAMPLE), "8-steps_fp32", "--out", str(file), "--json"])
    assert made.exit_code == 0 and json.loads(made.stdout)["file"] == str(file)
    text = Run.load(SAMPLE).prompt_texts["s0001"]
    run_alone = "runpy.run_path(sys.argv[0], run_name='__main__')"
    blocked = f"import runpy, sys; sys.modules['harness'] = None; sys.argv.pop(0); {run_alone}"
    arguments = ["-c", blocked, str(file), text, "--of-run", "s0001", "--out", str(tmp_path / "image.png")]
    subprocess.run([sys.executable, *arguments], check=True, cwd=tmp_path, env={"HF_HUB_OFFLINE": "1"})
    mine, theirs = (
        np.asarray(Image.open(path), dtype=float)
        for path in (tmp_path / "image.png", SAMPLE / "cells" / "8-steps_fp32" / "images" / "s0001_0.png")
    )
    assert np.abs(mine - theirs).mean() < 1


def test_unknown_cells_and_foreign_files_are_refused(tmp_path: Path) -> None:
    runner, own = CliRunner(), tmp_path / "own.py"
    unknown = runner.invoke(app, ["recipe", str(SAMPLE), "9-steps_fp32", "--out", str(own)])
    assert isinstance(unknown.exception, UsageError) and "8-steps_fp32" in unknown.exception.what
    own.write_text("mine = 1\n", encoding="utf-8")
    foreign = runner.invoke(app, ["recipe", str(SAMPLE), "8-steps_fp32", "--out", str(own)])
    assert isinstance(foreign.exception, UsageError) and own.read_text(encoding="utf-8") == "mine = 1\n"


def test_server_answers_in_batches(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    from fastapi.testclient import TestClient

    path = tmp_path / "cell.py"
    namespace = execute(write_file(deployable(plan_cell(tiny("sd"), {})), path, server=True), path)
    sizes: list[int] = []
    plain = namespace["generate"]

    def counted(pipe: Any, prompts: list[str], *rest: Any) -> Any:
        sizes.append(len(prompts))
        return plain(pipe, prompts, *rest)

    namespace["generate"] = counted
    with TestClient(namespace["app"]) as client, ThreadPoolExecutor(4) as pool:
        assert client.get("/health").json() == {"status": "ready", "batch": 2}
        wanted = [{"prompt": f"a circle {number}", "seed": number} for number in range(4)]
        answers = list(pool.map(lambda one: client.post("/generate", json=one), wanted))
        assert client.post("/generate", json={"seed": 1}).status_code == 422
    assert [answer.status_code for answer in answers] == [200] * 4
    assert max(sizes) == 2
    images = plain(namespace["build"](), [wanted[1]["prompt"]], [1])
    shown = np.asarray(Image.open(BytesIO(answers[1].content)), dtype=float)
    assert np.abs(shown - np.asarray(images[0]) * 255).mean() < 1
