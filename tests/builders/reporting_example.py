"""A believable run folder without a model: cells of every standing, raw samples and small images."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from harness.core.axis import Cell, Setting
from harness.core.machine import Machine
from harness.core.matrix import Matrix, Prices, Quality
from harness.core.model import ModelInfo
from harness.core.outcome import Applied, Caution, ColdStart, Completed, Failed, Image, Skipped
from harness.core.plan import OTHER_SEED_ID, RERUN_ID, Plan, PlannedCell, Prompt, Role
from harness.core.trace import Trace
from harness.core.units import Absent
from harness.gating import judge
from harness.reporting.images import evenly
from harness.store import (
    append_time,
    create_run,
    read_outcomes,
    write_outcome,
)
from harness.store.layout import TRACE, TRACE_FACTS, RunFolder
from tests.builders.reporting_cells import AXES, CELLS, FEW_STEPS, H200, USUAL, Made, Scene
from tests.builders.reporting_images import draw, prompts
from tests.builders.reporting_measured import Timed, alone_of, build_memory, compute_facts, pairing_of
from tests.builders.reporting_scores import evaluate

MATRIX_TEXT = """\
schema_version = 1
name = "quickstart"
about = "What do fewer steps, a distilled LoRA, BF16 and a compiler buy on a laptop, and what do they cost?"

[axes]
steps = [50, 20, 8, 4]
distillation = ["none", "lcm-lora"]
precision = ["fp32", "bf16", "fp16"]
compiler = ["eager", "inductor"]
resolution = ["64x64", "128x128"]

[baseline]
steps = 50
precision = "fp32"   # <no native fp16 here> & "quotes"
"""


EVENTS = {
    "50-steps_bf16": "throttled", "50-steps_inductor": "warming", "20-steps_bf16": "two-speeds",
    "8-steps": "sandwiched", "4-steps": "outliers",
}  # fmt: skip
"""What befell the timing of some cells."""


TRACED = ("50-steps", "50-steps_bf16", "20-steps", "4-steps")


TWO_SPEEDS = Caution(
    kind="two-speeds", message="the calls have two speeds: 251 ms (62 %) and 273 ms (38 %)",
    advice="Lock the clocks (nvidia-smi -lgc), or close what comes and goes on this machine; then run it again.",
)  # fmt: skip


THROTTLED = Caution(
    kind="throttled", message="1 of 33 blocks was slowed: hw thermal slowdown",
    advice="Cool the card, or lock its clocks."
)  # fmt: skip


def timed(made: Made, scene: Scene) -> Timed:
    """Return how a cell's calls went beside the baseline's."""
    return Timed(made.id, made.latency_s, CELLS[0].latency_s, int(made.settings[0]), scene.gpu,
                 EVENTS.get(made.id, ""))  # fmt: skip


def trace_of(run: Path, made: Made, scene: Scene) -> Trace | Absent:
    """Write the trace of some cells with what it says."""
    if made.id not in TRACED and "traced" not in made.id:
        return Absent(absent="not asked for: measure.trace = false")
    facts = compute_facts(made.latency_s, int(made.settings[0]), scene.gpu)
    folder = RunFolder(run).cell(made.id)
    (folder / TRACE).write_bytes(b"a trace")
    (folder / TRACE_FACTS).write_text(facts.model_dump_json(), encoding="utf-8")
    return Trace(path=TRACE, size_bytes=1_843_200, steps=min(int(made.settings[0]), 3))


FUSED = Applied(axis="distillation", value="lcm-lora", summary="fused LoRA lcm-lora (rank 32)")


INDUCTOR = Applied(
    axis="compiler", value="inductor", summary="denoiser compiled by inductor",
    figures={"graphs": 3, "graph_breaks": 2, "cache_hits": 0, "cache_misses": 3, "compile_s": 20.5},
)  # fmt: skip


def applied(made: Made) -> tuple[Applied, ...]:
    """Return what the settings of a synthetic cell did."""
    return tuple(did for did in (FUSED, INDUCTOR) if did.value in made.settings)


def cautions(made: Made) -> tuple[Caution, ...]:
    """Return what the plan warns of."""
    return (FEW_STEPS,) if made.settings[:2] == ("4", "none") else ()


def completed(run: Path, made: Made, images: tuple[Image, ...], scene: Scene) -> Completed:
    """Return the outcome of a synthetic cell that ran, and write its trace."""
    cold = ColdStart(
        start_s=0.071, load_s=0.42, apply_s=0.012, compile_s=made.compile_s, first_call_s=made.latency_s * 1.6
    )
    warnings = cautions(made)
    if made.compile_s:
        warnings += (Caution(kind="compile", message="2 graph breaks", advice="Set fullgraph = true to find them."),)
    warnings += {"20-steps_bf16": (TWO_SPEEDS,), "50-steps_bf16": (THROTTLED,)}.get(made.id, ())
    own = timed(made, scene)
    pairing = alone_of(own) if made.id in (CELLS[0].id, OTHER_SEED_ID) else pairing_of(own)
    spent = sum(repeat.latency_s for block in pairing.blocks for repeat in block.repeats)
    phases = {"start": 0.07, "load": 0.42, "apply": 0.012, "compile": made.compile_s, "save": 0.19}
    phases |= {"warmup": made.latency_s * 1.6, "repeats": spent, "memory": made.latency_s}
    phases |= {"images": made.latency_s * len(images) * 0.06}
    return Completed(
        cold_start=cold, warmup_s=(made.latency_s * 1.6, made.latency_s * 1.04), pairing=pairing,
        batch=int(made.settings[5]), images=images, denoiser_calls=int(made.settings[0]),
        weights_bytes={"text_encoder": 1_900_000, "denoiser": 13_600_000, "vae": 2_600_000},
        memory=build_memory(made.size, scene.gpu), trace=trace_of(run, made, scene),
        threads=2, phases_s=phases,
        applied=applied(made), warnings=warnings,
    )  # fmt: skip


def planned(made: Made, order: int, role: Role) -> PlannedCell:
    """Return the planned cell of a synthetic one."""
    settings = tuple(Setting(axis=axis, name=name) for axis, name in zip(AXES, made.settings, strict=True))
    skip = "fp16 has no native support on this CPU (40 times slower): use bf16" if made.state == "skipped" else None
    cell = Cell(id=made.id, settings=settings, build_key=made.id, call_key=made.id)
    return PlannedCell(
        cell=cell, role=role, order=order, skip=skip, estimate_s=3.0, content_key=f"key-{made.id}",
        cautions=cautions(made),
    )  # fmt: skip


def write_images(
    run: Path, made: Made, prompt_set: tuple[Prompt, ...], seeds: tuple[int, ...], least: int
) -> tuple[Image, ...]:
    """Write the images of a cell that a page shows, and return the records of all."""
    folder = run / "cells" / made.id / "images"
    folder.mkdir(parents=True, exist_ok=True)
    keys = [(prompt, seed) for prompt in prompt_set for seed in seeds]
    common = keys[: least * len(seeds)]
    shown = {keys.index(key) for count in (6, 8) for key in evenly(common, count)} | {3, 4, 5, 6, 7}  # type: ignore[type-var, arg-type]
    images = []
    for index, (prompt, seed) in enumerate(keys):
        path = f"images/{prompt.id}_{seed}.png"
        data = path.encode()
        if index in shown:
            data = draw(prompt, seed, made.size, made.noise)
            (folder.parent / path).write_bytes(data)
        images.append(Image(prompt_id=prompt.id, seed=seed, path=path, sha256=hashlib.sha256(data).hexdigest()))
    return tuple(images)


def outcomes(run: Path, plan: Plan, cells: tuple[Made, ...], scene: Scene) -> Iterator[tuple[Made, tuple[Image, ...]]]:
    """Write every outcome and yield the cells that completed with their images."""
    least = min(scene.get_prompts(made) for made in cells)
    for made in cells:
        if made.state == "skipped":
            write_outcome(run, made.id, Skipped(reason=plan.find(made.id).skip or ""))
        elif made.state == "failed":
            log = "torch._inductor.exc.InductorError: CppCompileError: C++ compile error\n  <stdin>:1: fatal error"
            write_outcome(run, made.id, Failed(
                kind="error", phase="compile", message="no working C++ compiler found", wall_s=2.4, log=log,
                hint="Install g++ (apt-get install g++) or leave out compiler = inductor.",
            ))  # fmt: skip
        elif made.state == "completed":
            planned_cell = plan.find(made.id)
            prompt_set = plan.get_prompts(planned_cell)[: scene.get_prompts(made)]
            images = write_images(run, made, prompt_set, plan.get_seeds(planned_cell), least)
            write_outcome(run, made.id, completed(run, made, images, scene))
            yield made, images


def make_plan(cells: tuple[Made, ...], scene: Scene, name: str) -> Plan:
    """Return the plan of the synthetic run with its two extra baseline runs."""
    extra = (cells[0]._replace(id=RERUN_ID), cells[0]._replace(id=OTHER_SEED_ID))
    candidates: list[Role] = ["candidate"] * (len(cells) - 1)
    roles: tuple[Role, ...] = ("baseline", *candidates, "rerun", "other-seed")
    return Plan(
        run_id=f"20261122T210000Z_{name}_laptop",
        matrix=Matrix(name=name, axes={"steps": (50, 20, 8, 4)},
                      prices=Prices(per_hour={"*H200*": 3.5}) if scene.gpu else Prices(),
                      quality=Quality(rerun_prompts=4, images="auto" if scene.interim_analyses else "all")),
        matrix_sha256=hashlib.sha256(MATRIX_TEXT.encode()).hexdigest(),
        model=ModelInfo(title="shapes (bundled)", family="sdxl", width=64, height=64, guidance=4.0, size_multiple=8,
                        digest="3f2a9c"),
        machine=Machine(name="laptop", gpus=(H200,) if scene.gpu else (),
                        cpu="AMD EPYC 9B45", cpu_cores=2, memory_bytes=24 * 2**30, os="Linux 6.12",
                        python="3.11.7", packages={"torch": "2.14.1", "diffusers": "0.42.0"},
                        git_commit="38a29de", git_dirty=True),
        prompts=prompts(scene.prompts), baseline_id=cells[0].id, interim_analyses=scene.interim_analyses,
        policy=scene.policy,
        cells=tuple(planned(made, order, role)
                    for order, (made, role) in enumerate(zip((*cells, *extra), roles, strict=True))),
        notes=("no native FP16 on this machine: the baseline is FP32",),
    )  # fmt: skip


def make_run(root: Path, cells: tuple[Made, ...] = CELLS, scene: Scene = USUAL) -> Path:
    """Write a whole synthetic run under `root`, judged by the real gate, and return its folder."""
    plan = make_plan(cells, scene, "quickstart")
    run = create_run(root, plan, MATRIX_TEXT)
    extra = (cells[0]._replace(id=RERUN_ID), cells[0]._replace(id=OTHER_SEED_ID))
    done = list(outcomes(run, plan, (*cells, *extra), scene))
    append_time(run, "plan", 0.04)
    phases = [outcome.phases_s for outcome in read_outcomes(run).values() if isinstance(outcome, Completed)]
    append_time(run, "run", 1.06 * sum(sum(phase.values()) for phase in phases) + 3.0)
    if scene.evaluated:
        evaluate(run, plan, [(made, images) for made, images in done[:-2] if made.id != cells[0].id], scene)
        if scene.judged:
            judge(run)
            append_time(run, "gate", 0.06)
    return run
