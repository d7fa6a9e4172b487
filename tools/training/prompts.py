"""The prompts of `shapes-large`: those of `shapes`, then more captions that training never sees."""

import json
from pathlib import Path

import numpy as np

from harness import prompts
from harness.shapes_world import draw_scenes

DATA = Path(prompts.__path__[0]) / "data"
LARGE = DATA / "shapes-large.jsonl"


def build_large_set(seed: int, count: int = 4096) -> list[dict[str, str]]:
    """Return `count` prompts, each with its id, no caption twice."""
    lines = [
        json.loads(line)
        for line in (DATA / "shapes.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    texts = dict.fromkeys(line["text"] for line in lines)
    rng = np.random.default_rng(seed)
    while len(texts) < count:
        texts |= dict.fromkeys(scene.caption for scene in draw_scenes(rng, count, "held-out"))
    return [
        {"id": f"s{number:04}", "text": text} for number, text in enumerate(list(texts)[:count], 1)
    ]


def write(seed: int) -> None:
    """Write the set into the package."""
    LARGE.write_text(
        "".join(json.dumps(prompt) + "\n" for prompt in build_large_set(seed)), encoding="utf-8"
    )
