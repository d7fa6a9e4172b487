"""What the bundled model learned: the table of attribute accuracies and the grid of images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image

from harness import shapes_world as world
from harness.metrics.bundled import attributes
from harness.models import shapes
from tools.training import data, pipeline

COLUMNS: tuple[str, ...] = ("shape", "colour", "size", "background", "relation", "all")


@dataclass(frozen=True)
class Row:
    """One way of sampling: its name, steps, guidance scale and whether the LCM-LoRA is on."""

    name: str
    steps: int
    guidance: float
    lcm: bool = False


def list_rows() -> list[Row]:
    """Return the ways of sampling that the table compares."""
    full = shapes.GUIDANCE
    plain = [Row(f"{steps} steps", steps, full) for steps in (50, 8, 4)]
    return [*plain, Row("LCM-LoRA 4 steps", 4, 1.0, lcm=True)]


def draw_captions(count: int = 512, seed: int = 7) -> list[str]:
    """Return distinct held-out captions in random order, 1 in 37 with one object (28 exist)."""
    one, two = world.scenes("held-out")
    rng = np.random.default_rng(seed)
    singles = min(len(one), -(-count // 37))
    picked = [one[i].caption for i in rng.permutation(len(one))[:singles]]
    picked += [two[i].caption for i in rng.permutation(len(two))[: count - singles]]
    return [picked[i] for i in rng.permutation(count)]


def read_labels(renders: np.ndarray, net: attributes.AttributeNet) -> np.ndarray:
    """Return the labels that the attribute net predicts, int64 (count, 8)."""
    parts = [data.to_tensor(renders[i : i + 256]) / 2 + 0.5 for i in range(0, len(renders), 256)]
    return torch.cat([net.predict(part) for part in parts]).numpy()


def score(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return the share of correct attributes, objects matched in the better order.

    `relation` counts captions with two objects only.
    """
    right: dict[str, list[bool]] = {name: [] for name in COLUMNS}
    for found, wanted in zip(predicted, truth, strict=True):
        pair = wanted[0] != 0
        things = (found[2:5] == wanted[2:5], found[5:8] == wanted[5:8])
        swapped = (found[5:8] == wanted[2:5], found[2:5] == wanted[5:8])
        kept = sum(map(np.sum, things)) >= sum(map(np.sum, swapped)) or not pair
        best = (things if kept else swapped)[: 1 + pair]
        for i, name in enumerate(("shape", "colour", "size")):
            right[name] += [bool(thing[i]) for thing in best]
        right["background"].append(bool(found[1] == wanted[1]))
        if pair:
            right["relation"].append(bool(found[0] == wanted[0] and kept))
        right["all"].append(bool((found == wanted).all()))
    return {
        name: float(np.mean(values)) if values else float("nan") for name, values in right.items()
    }


def compute_frechet(renders: np.ndarray, real: np.ndarray, net: attributes.AttributeNet) -> float:
    """Return the Fréchet distance between the attribute net's features of two sets of images."""
    moments = []
    for group in (renders, real):
        parts = [
            net.features(data.to_tensor(group[i : i + 256]) / 2 + 0.5)
            for i in range(0, len(group), 256)
        ]
        features = torch.cat(parts).double().numpy()
        moments.append((features.mean(0), np.cov(features, rowvar=False)))
    (mean, spread), (mean_real, spread_real) = moments
    roots = np.sqrt(np.maximum(np.linalg.eigvals(spread @ spread_real).real, 0)).sum()
    return float(
        ((mean - mean_real) ** 2).sum() + np.trace(spread) + np.trace(spread_real) - 2 * roots
    )


def measure(
    pipe: StableDiffusionXLPipeline,
    row: Row,
    texts: list[str],
    net: attributes.AttributeNet,
    pixels: int = 64,
) -> tuple[dict[str, float], np.ndarray]:
    """Return scores and images of one way of sampling."""
    renders = pipeline.sample(pipe, texts, row.steps, row.guidance, pixels)
    truth = np.array([world.parse(text).labels for text in texts])
    return score(read_labels(renders, net), truth), renders


def format_table(scores: dict[str, dict[str, float]]) -> str:
    """Format the scores as a Markdown table: shares in percent, and the Fréchet distance."""
    lines = [
        "| sampling | " + " | ".join(COLUMNS) + " | FID |",
        "|---|" + "---:|" * (1 + len(COLUMNS)),
    ]
    for name, values in scores.items():
        shares = " | ".join(f"{100 * values[c]:.1f}" for c in COLUMNS)
        lines.append(f"| {name} | {shares} | {values['fid']:.2f} |")
    return "\n".join(lines)


def write_grid(renders: list[np.ndarray], path: Path, columns: int = 8, zoom: int = 2) -> None:
    """Write images as a PNG, one row of the grid per way of sampling."""
    lines = [
        np.concatenate(
            list(np.pad(p[:columns], ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=255)), 1
        )
        for p in renders
    ]
    whole = Image.fromarray(np.concatenate(lines))
    whole.resize((whole.width * zoom, whole.height * zoom), Image.Resampling.NEAREST).save(
        path, optimize=True
    )


def report(count: int = 512, device: str = "cpu", render: Path | None = None) -> str:
    """Sample every way on held-out captions, write the grid and return the table."""
    net, texts = attributes.load(), draw_captions(count)
    scores, shown = {}, []
    wanted = [world.parse(text) for text in texts]
    other, real = (world.render(wanted, np.random.default_rng(seed)) for seed in (98, 99))
    scores["real renders"] = score(
        read_labels(other, net), np.array([scene.labels for scene in wanted])
    )
    scores["real renders"]["fid"] = compute_frechet(other, real, net)
    for row in list_rows():
        pipe = pipeline.load(shapes.PIPELINE, device, shapes.LCM_LORA if row.lcm else None)
        scores[row.name], renders = measure(pipe, row, texts, net)
        scores[row.name]["fid"] = compute_frechet(renders, real, net)
        shown.append(renders)
        print(row.name, scores[row.name], flush=True)
    if render is not None:
        write_grid([shown[0], shown[2], shown[3]], render)
    return format_table(scores)
