"""A run made of rendered images instead of a model, so that evaluation can be tested with known damage."""

import hashlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from harness import shapes_world as world
from harness.core.axis import Cell, Setting
from harness.core.machine import Machine
from harness.core.matrix import Matrix, Prompts, Quality
from harness.core.model import ModelInfo
from harness.core.outcome import ColdStart, Completed, Image
from harness.core.plan import OTHER_SEED_ID, OTHER_SEED_OFFSET, RERUN_ID, Plan, PlannedCell, Prompt, Role
from harness.core.policy import Policy
from harness.core.timing import Repeat
from harness.core.units import Absent
from harness.store import begin_cell, create_run, write_outcome
from tests.builders.timed_pairs import alone

NONE = Absent(absent="not measured in a test")
PAIRED = ("psnr", "ssim")
Change = Callable[[np.ndarray], np.ndarray]


def keep(pixels: np.ndarray) -> np.ndarray:
    """Change nothing."""
    return pixels


def faint(pixels: np.ndarray) -> np.ndarray:
    """One grey level of noise."""
    noise = np.random.default_rng(1).integers(-1, 2, pixels.shape)
    return np.clip(pixels.astype(int) + noise, 0, 255).astype(np.uint8)


def washed_out(pixels: np.ndarray) -> np.ndarray:
    """Half way to grey."""
    return (pixels * 0.5 + 64).astype(np.uint8)


def swapped(pixels: np.ndarray) -> np.ndarray:
    """Every image with another prompt."""
    return np.roll(pixels, len(pixels) // 3, axis=0)


def doubled(pixels: np.ndarray) -> np.ndarray:
    """Twice the size."""
    return pixels.repeat(2, axis=1).repeat(2, axis=2)


CANDIDATES: dict[str, tuple[Setting, Change]] = {
    "same": (Setting(axis="compiler", name="inductor"), keep),
    "faint": (Setting(axis="precision", name="bf16"), faint),
    "washed-out": (Setting(axis="precision", name="fp16"), washed_out),
    "swapped": (Setting(axis="steps", name="4"), swapped),
    "doubled": (Setting(axis="resolution", name="128x128"), doubled),
}
BASE = {"steps": "50", "precision": "fp32", "compiler": "eager", "resolution": "64x64"}


def make_scored_run(
    root: Path,
    prompts: int = 64,
    seeds: int = 1,
    metrics: tuple[str, ...] = PAIRED,
    policy: Policy | None = None,
    candidates: Mapping[str, tuple[Setting, Change]] = CANDIDATES,
    reference: Path | None = None,
) -> Path:
    """Write a run of rendered scenes and return its folder: baseline, rerun, other seed, and changed candidates."""
    rng = np.random.default_rng(0)
    scenes = world.draw_scenes(rng, prompts, "held-out")
    repeated = [scene for scene in scenes for _ in range(seeds)]
    pixels, others = world.render(repeated, rng), world.render(repeated, rng)
    quality = Quality(
        metrics=metrics,
        rerun_prompts=max(2, prompts // 4),
        resamples=1000,
        reference=str(reference) if reference else None,
    )
    cells = [_cell("baseline", "baseline", {})]
    cells += [_cell(RERUN_ID, "rerun", {}), _cell(OTHER_SEED_ID, "other-seed", {})]
    cells += [_cell(name, "candidate", {setting.axis: setting}) for name, (setting, _) in candidates.items()]
    texts = tuple(Prompt(id=f"p{i:03}", text=scene.caption) for i, scene in enumerate(scenes))
    plan = _plan(cells, texts, tuple(range(seeds)), quality, policy or Policy())
    run = create_run(root, plan, "")
    made = {"baseline": pixels, RERUN_ID: pixels, OTHER_SEED_ID: others}
    made |= {name: change(pixels) for name, (_, change) in candidates.items()}
    for planned in cells:
        keys = [
            (prompt.id, seed + (OTHER_SEED_OFFSET if planned.role == "other-seed" else 0))
            for prompt in plan.get_prompts(planned)
            for seed in plan.matrix.seeds
        ]
        write_cell(run, planned.id, keys, made[planned.id])
    return run


def _plan(
    cells: list[PlannedCell], prompts: tuple[Prompt, ...], seeds: tuple[int, ...], quality: Quality, policy: Policy
) -> Plan:
    matrix = Matrix(name="test", axes={"steps": (50,)}, prompts=Prompts(set="shapes"), seeds=seeds, quality=quality)
    return Plan(
        run_id="test", matrix=matrix, matrix_sha256="", model=_model(), machine=_machine(), baseline_id="baseline",
        prompts=prompts, cells=tuple(cells), policy=policy,
    )  # fmt: skip


def write_cell(run: Path, cell_id: str, keys: list[tuple[str, int]], pixels: np.ndarray) -> None:
    """Write the images and the outcome of one completed cell."""
    folder = begin_cell(run, cell_id)
    images = []
    for (prompt, seed), image in zip(keys, pixels, strict=False):
        buffer = io.BytesIO()
        PillowImage.fromarray(image).save(buffer, "PNG")
        path = folder / "images" / f"{prompt}_{seed}.png"
        path.write_bytes(buffer.getvalue())
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        images.append(Image(prompt_id=prompt, seed=seed, path=f"images/{path.name}", sha256=digest))
    write_outcome(run, cell_id, _completed(tuple(images)))


def _cell(cell_id: str, role: Role, changed: dict[str, Setting]) -> PlannedCell:
    settings = tuple(changed.get(axis, Setting(axis=axis, name=name)) for axis, name in BASE.items())
    cell = Cell(id=cell_id, settings=settings, build_key=cell_id, call_key=cell_id)
    return PlannedCell(cell=cell, role=role, order=0, estimate_s=1.0, content_key=cell_id)


def _completed(images: tuple[Image, ...]) -> Completed:
    cold = ColdStart(start_s=0, load_s=0, apply_s=0, compile_s=0, first_call_s=0)
    return Completed(
        cold_start=cold, warmup_s=(), pairing=alone((Repeat(latency_s=0.1),)), batch=1, images=images,
        denoiser_calls=1, weights_bytes={}, threads=1, phases_s={},
    )  # fmt: skip


def _model() -> ModelInfo:
    return ModelInfo(
        title="rendered scenes", family="test", width=64, height=64, guidance=1.0, size_multiple=8, digest="0"
    )


def _machine() -> Machine:
    return Machine(
        name="test", cpu="test", cpu_cores=1, memory_bytes=2**30, os="test", python="3", packages={},
        git_commit=NONE, git_dirty=NONE,
    )  # fmt: skip
