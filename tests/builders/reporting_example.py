"""A believable run folder without a model: cells of every standing, raw samples and small pictures."""

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness.core.axis import Setting
from harness.core.cell import Cell
from harness.core.machine import Gpu, Machine
from harness.core.matrix import Matrix, Prices, Quality
from harness.core.model import ModelInfo
from harness.core.outcome import Applied, Caution, ColdStart, Completed, Failed, Image, Skipped
from harness.core.plan import OTHER_SEED_ID, RERUN_ID, Plan, PlannedCell, Prompt, Role
from harness.core.policy import Policy
from harness.core.quality import (
    Definition,
    Delta,
    Evaluation,
    Interval,
    Rung,
    Score,
    Tail,
    Uncertainty,
    WorstImage,
)
from harness.core.trace import Trace
from harness.core.units import Absent
from harness.gating import judge
from harness.reporting.pictures import evenly
from harness.stats.confidence import interval, student
from harness.stats.proportions import share_upper
from harness.store import (
    append_time,
    create_run,
    read_outcomes,
    write_evaluation,
    write_image_scores,
    write_outcome,
)
from harness.store.layout import TRACE, TRACE_FACTS, RunFolder
from tests.builders.reporting_measured import Timed, alone_of, build_memory, compute_facts, pairing_of
from tests.builders.reporting_pictures import draw, prompts

AXES = ("steps", "distillation", "precision", "compiler", "resolution", "batch")
BASELINE = "50-steps"
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


class Made(NamedTuple):
    """What one synthetic cell is made of: `loss` is the true calibrated loss, `noise` what pictures get."""

    id: str
    settings: tuple[str, ...]
    latency_s: float = 1.0
    loss: float = 0.0
    kept: bool = True
    noise: int = 3
    size: int = 64
    compile_s: float = 0.0
    state: str = "completed"
    analysis: int = -1
    """In an adaptive run: the look at which it was judged last."""


class Scene(NamedTuple):
    """What a synthetic run is like: how many prompts, judged by which policy, at which looks, what went wrong."""

    prompts: int = 256
    policy: Policy = Policy()
    interim_analyses: tuple[int, ...] = ()
    blind: tuple[str, ...] = ("ssim",)
    missing: tuple[str, ...] = ()
    unsound: str = ""
    """A metric that finds a loss in identical pictures."""
    notes: tuple[str, ...] = ()
    """Cautions in the definition of the distribution metric."""
    gpu: bool = False
    evaluated: bool = True
    judged: bool = True

    def get_prompts(self, made: Made) -> int:
        """Return the number of prompts a cell has images of."""
        return self.interim_analyses[made.analysis] if self.interim_analyses else self.prompts


USUAL = Scene()
H200 = Gpu(
    name="NVIDIA H200", capability=(9, 0), memory_bytes=141 << 30, driver="570.1", cuda="12.8", power_limit_w=700
)


CELLS: tuple[Made, ...] = (
    Made("50-steps", ("50", "none", "fp32", "eager", "64x64", "1"), 0.982),
    Made("50-steps_bf16", ("50", "none", "bf16", "eager", "64x64", "1"), 0.611, 0.006, noise=5),
    Made("50-steps_inductor", ("50", "none", "fp32", "inductor", "64x64", "1"), 0.874, 0.0, compile_s=21.0, noise=1),
    Made("50-steps_fp16", ("50", "none", "fp16", "eager", "64x64", "1"), state="skipped"),
    Made("20-steps", ("20", "none", "fp32", "eager", "64x64", "1"), 0.402, 0.017, kept=False, noise=9),
    Made("20-steps_bf16", ("20", "none", "bf16", "eager", "64x64", "1"), 0.251, 0.0555, False, 13),
    Made("8-steps", ("8", "none", "fp32", "eager", "64x64", "1"), 0.171, 0.137, False, 30),
    Made("4-steps", ("4", "none", "fp32", "eager", "64x64", "1"), 0.094, 0.462, False, 75),
    Made("4-steps_lcm-lora", ("4", "lcm-lora", "fp32", "eager", "64x64", "1"), 0.1002, 0.021, False, noise=10),
    Made("4-steps_lcm-lora_bf16", ("4", "lcm-lora", "bf16", "eager", "64x64", "1"), 0.0689, 0.047, False, 14),
    Made("4-steps_lcm-lora_bf16_inductor", ("4", "lcm-lora", "bf16", "inductor", "64x64", "1"), state="failed"),
    Made("50-steps_128px", ("50", "none", "fp32", "eager", "128x128", "1"), 3.91, 0.061, False, 12, 128),
)  # fmt: skip


class Metric(NamedTuple):
    """One synthetic metric: the baseline's score and how it moves with a loss of 1."""

    name: str
    kind: str
    better: str
    baseline: float
    reach: float
    spread: float


METRICS = (
    Metric("fid:bundled", "distribution", "lower", 8.42, 8.42, 0.9),
    Metric("clip:bundled", "alignment", "higher", 31.4, -17.0, 0.35),
    Metric("lpips:bundled", "paired", "lower", 0.004, 0.31, 0.5),
    Metric("psnr", "paired", "higher", 38.0, -24.0, 0.5),
    Metric("ssim", "paired", "higher", 0.991, -0.6, 0.5),
    Metric("attributes:bundled", "correctness", "higher", 0.97, -0.97, 0.3),
    Metric("detail", "distribution", "lower", 0.4, 18.0, 0.2),
)


def definition(metric: Metric, scene: Scene = USUAL) -> Definition:
    """Return the definition of a synthetic metric."""
    bundled = metric.name.endswith(":bundled")
    return Definition.model_validate({
        "metric": metric.name, "kind": metric.kind, "better": metric.better,
        "question": {"fid:bundled": "variety", "detail": "fidelity"}.get(metric.name, "content"),
        "extractor": "attribute CNN, 0.4 M parameters" if bundled else "pixels",
        "weights_sha256": hashlib.sha256(metric.name.encode()).hexdigest() if bundled else "",
        "resize": "none (native size)", "value_range": "uint8 RGB",
        "reference": "baseline at other seeds" if metric.kind == "distribution" else "none",
        "notes": scene.notes if metric.kind == "distribution" else (),
        "library": "torch 2.14.1", "unit": "dB" if metric.name == "psnr" else "",
    })  # fmt: skip


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
FEW_STEPS = Caution(kind="few-steps", message="4 steps without distillation", advice="Set distillation.")


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


def spread(estimate: float, half: float) -> Uncertainty:
    """Return a confidence distribution whose 95 % interval has the given half width."""
    return student(estimate, half / 1.97, 255)


def around(estimate: float, half: float) -> Interval:
    """Return a 95 % interval of the given half width."""
    return interval(spread(estimate, half), estimate, "cluster bootstrap")


def delta(made: Made, metric: Metric, scene: Scene = USUAL) -> Delta:
    """Return the change of one metric; the paired ones gate only where the trajectory is kept."""
    dice = random.Random(f"{made.id}/{metric.name}")
    paired, n = metric.kind == "paired", scene.get_prompts(made)
    loss = made.loss * (dice.uniform(4.0, 9.0) if paired and not made.kept else dice.uniform(0.55, 1.0))
    loss = max(loss, 0.55) if paired and not made.kept else loss
    half = metric.spread * (0.006 + loss * 0.15) * (256 / n) ** 0.5 if made.loss else 0.0
    gates = not paired or (made.kept and metric.name == "lpips:bundled")
    tiny_anchor = paired and metric.name != "lpips:bundled"
    no_literal = Absent(absent="the baseline's distance from itself is 0: no share of it means anything")
    return Delta(
        cell_id=made.id, metric=metric.name, definition=definition(metric, scene), baseline=metric.baseline,
        candidate=metric.baseline + metric.reach * loss,
        literal=no_literal if tiny_anchor else around(loss * 0.61, half * 0.6),
        literal_uncertainty=no_literal if tiny_anchor else spread(loss * 0.61, half * 0.6),
        loss=around(loss, half), loss_uncertainty=spread(loss, half), calibration={"chance": 14.4, "floor": 0.004},
        n=n, prompts=n, gates=gates,
        why_not="" if gates else "the cell changes the denoising trajectory: reported, not gated",
        if_named=paired and made.kept,
    )  # fmt: skip


def tail(made: Made, images: tuple[Image, ...]) -> Tail:
    """Return the synthetic tail of a cell."""
    worst = tuple(
        WorstImage(prompt_id=image.prompt_id, seed=image.seed, metric="lpips:bundled", value=0.41 - 0.03 * index)
        for index, image in enumerate(images[3:8])
    )
    broken = min(11, len(images)) if made.loss > 0.05 else 0
    return Tail(cell_id=made.id, broken=broken, n=len(images), broken_share_high=share_upper(broken, len(images)),
                worst_decile={"clip:bundled": 22.1, "lpips:bundled": 0.36}, worst=worst)  # fmt: skip


def write_images(
    run: Path, made: Made, prompt_set: tuple[Prompt, ...], seeds: tuple[int, ...], least: int
) -> tuple[Image, ...]:
    """Write the pictures of a cell that a page shows, and return the records of all."""
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
    """Write every outcome and yield the cells that completed with their pictures."""
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
        prompts=prompts(scene.prompts), baseline_id=cells[0].id, interim_analyses=scene.interim_analyses, policy=scene.policy,
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
        evaluate(run, plan, [(made, pictures) for made, pictures in done[:-2] if made.id != cells[0].id], scene)
        if scene.judged:
            judge(run)
            append_time(run, "gate", 0.06)
    return run


def rung(scene: Scene, metric: Metric, family: str, level: int, loss: float) -> Rung:
    """Return what a metric made of a damage."""
    none = Absent(absent="the ladder keeps scores of paired metrics only")
    return Rung(
        damage=family, level=level, dose=f"dose {level}", metric=metric.name, images=scene.prompts,
        prompts=scene.prompts, loss=around(loss, 0.05 * loss), loss_uncertainty=spread(loss, 0.05 * loss),
        score=none, score_uncertainty=none,
    )  # fmt: skip


def evaluate(run: Path, plan: Plan, candidates: list[tuple[Made, tuple[Image, ...]]], scene: Scene) -> None:
    """Write the evaluation and the scores of single images."""
    every = [delta(made, metric, scene) for made, _ in candidates for metric in METRICS]
    scores = [
        Score(cell_id=entry.cell_id, definition=entry.definition, value=around(entry.candidate, 0.02),
              uncertainty=spread(entry.candidate, 0.02), n=entry.n, prompts=entry.prompts)
        for entry in every
    ]  # fmt: skip
    scores += [
        Score(cell_id=plan.baseline_id, definition=definition(metric, scene), value=around(metric.baseline, 0.02),
              uncertainty=spread(metric.baseline, 0.02), n=scene.prompts, prompts=scene.prompts)
        for metric in METRICS
    ]  # fmt: skip
    ladder = tuple(
        rung(scene, metric, family, level, loss * (0 if metric.name in scene.blind else size))
        for family, loss in (("blur", 0.4), ("jpeg", 0.12), ("wrong-prompt", 1.0))
        for level, size in enumerate((0.01, 0.1, 0.2, 0.5, 1.0, 2.0))
        for metric in METRICS
        if family != "wrong-prompt" or metric.kind != "distribution"
    )
    ladder += tuple(rung(scene, m, "identical", 0, 0.012 if m.name == scene.unsound else 0.0) for m in METRICS)
    missing = dict.fromkeys(scene.missing, "weights ViT-B-32.pt not found (looked in HARNESS_WEIGHTS)")
    write_evaluation(run, Evaluation(
        run_id=plan.run_id, scores=tuple(scores), deltas=tuple(every), ladder=ladder,
        blind=dict.fromkeys(scene.blind, "no damage could move it here"),
        tails=tuple(tail(made, pictures) for made, pictures in candidates), missing=missing, seconds=8.9,
    ))  # fmt: skip
    dice = random.Random(1)
    rows = [
        (made.id, image.prompt_id, image.seed, dice.uniform(0.01, 0.3)) for made, pics in candidates for image in pics
    ]
    write_image_scores(run, "lpips:bundled", definition(METRICS[2], scene), rows)
    append_time(run, "evaluate", 9.2)
