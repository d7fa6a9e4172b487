"""Images of two simulated nights: the one before a known quality loss, and its first one."""

import hashlib
import io
from pathlib import Path

import numpy as np

from harness.core.axis import Cell
from harness.core.machine import Machine
from harness.core.matrix import Matrix, Prompts
from harness.core.model import ModelInfo
from harness.core.outcome import ColdStart, Completed, Image
from harness.core.plan import Plan, PlannedCell, Prompt
from harness.core.policy import Policy
from harness.core.timing import Block, Pairing, Repeat
from harness.core.units import Absent
from harness.damages import Pixels, apply_damage
from harness.nightly.simulated_nights import CELLS, LINEAGE, MACHINE, PLANTED, name_night
from harness.shapes_world import draw_scenes, render
from harness.store.layout import RunFolder, image_name
from harness.store.write import begin_cell, create_run, write_outcome

_IMAGES, _SEED = 12, 7
_DAMAGED = {3: "noise:4", 8: "blur:3"}
"""Images that the loss damaged, by their place."""
_SIMULATED = Absent(absent="simulated")


def write_image_nights(results: Path) -> None:
    """Write the runs of the two nights around the known quality loss, with their images.

    Their matrix has another name: only images are theirs, the figures are those of the history.
    """
    loss = next(change for change in PLANTED if change.name == "quality loss")
    random = np.random.default_rng(_SEED)
    scenes = draw_scenes(random, _IMAGES)
    prompts = tuple(Prompt(id=f"p{at:02}", text=scene.caption) for at, scene in enumerate(scenes))
    before = render(scenes, random)
    after = before.copy()
    for place, damage in _DAMAGED.items():
        after[place] = apply_damage(before[place : place + 1], damage)[0]
    for night, pixels in ((loss.night - 1, before), (loss.night, after)):
        _write_night(results / name_night(night), loss.cell, prompts, pixels)


def _write_night(run: Path, cell: str, prompts: tuple[Prompt, ...], pixels: Pixels) -> None:
    if not RunFolder(run).run_json.exists():
        run = create_run(run.parent, _plan_night(run.name, prompts), "")
    _write_cell(run, cell, prompts, pixels)


def _plan_night(run_id: str, prompts: tuple[Prompt, ...]) -> Plan:
    cells = tuple(
        PlannedCell(
            cell=Cell(id=cell, settings=(), build_key=cell, call_key=cell),
            role="candidate" if number else "baseline", order=number, estimate_s=1.0,
            content_key=cell,
        )
        for number, cell in enumerate(CELLS)
    )  # fmt: skip
    matrix = Matrix(
        name=f"{LINEAGE}-images", axes={"steps": (50,)}, prompts=Prompts(set="shapes"), seeds=(0,)
    )
    model = ModelInfo(
        title="simulated", family="simulated", width=64, height=64, guidance=1.0, size_multiple=8,
        digest="0",
    )  # fmt: skip
    machine = Machine(
        name=MACHINE, cpu="simulated", cpu_cores=1, memory_bytes=2**30, os="simulated",
        python="simulated", packages={}, git_commit=_SIMULATED, git_dirty=_SIMULATED,
    )  # fmt: skip
    return Plan(
        run_id=run_id, matrix=matrix, matrix_sha256="", model=model, machine=machine,
        baseline_id=next(iter(CELLS)), prompts=prompts, cells=cells, policy=Policy(),
    )  # fmt: skip


def _write_cell(run: Path, cell: str, prompts: tuple[Prompt, ...], pixels: Pixels) -> None:
    from PIL import Image as PillowImage

    folder, images = begin_cell(run, cell), []
    for prompt, drawn in zip(prompts, pixels, strict=True):
        buffer = io.BytesIO()
        PillowImage.fromarray(drawn).save(buffer, "PNG")
        path = image_name(prompt.id, 0)
        (folder / path).write_bytes(buffer.getvalue())
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        images.append(Image(prompt_id=prompt.id, seed=0, path=path, sha256=digest))
    cold = ColdStart(start_s=0, load_s=0, apply_s=0, compile_s=0, first_call_s=0)
    call = Repeat(latency_s=CELLS[cell].latency_s)
    block = Block(side="cell", round_index=0, begun_s=0.0, repeats=(call,))
    outcome = Completed(
        cold_start=cold, warmup_s=(), pairing=Pairing(kind="alone", blocks=(block,)), batch=1,
        images=tuple(images), denoiser_calls=1, weights_bytes={}, threads=1, phases_s={},
    )  # fmt: skip
    write_outcome(run, cell, outcome)
