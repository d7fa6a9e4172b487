"""Scores, losses and the damage ladder of a run made for the report."""

import hashlib
import random
from pathlib import Path

from harness.core.outcome import Image
from harness.core.plan import Plan
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
from harness.core.units import Absent
from harness.stats.confidence import interval, student
from harness.stats.proportions import share_upper
from harness.store import (
    append_time,
    write_evaluation,
    write_image_scores,
)
from tests.builders.reporting_cells import METRICS, USUAL, Made, Metric, Scene


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
        tails=tuple(tail(made, images) for made, images in candidates), missing=missing, seconds=8.9,
    ))  # fmt: skip
    dice = random.Random(1)
    rows = [
        (made.id, image.prompt_id, image.seed, dice.uniform(0.01, 0.3)) for made, pics in candidates for image in pics
    ]
    write_image_scores(run, "lpips:bundled", definition(METRICS[2], scene), rows)
    append_time(run, "evaluate", 9.2)
