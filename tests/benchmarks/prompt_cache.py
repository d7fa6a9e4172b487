"""How much of the text encoders' time the prompt-embedding cache saves when prompts come again.

    python -m tests.benchmarks.prompt_cache [folder of a diffusers pipeline] [--quick]

Prints the seconds per prompt of encoding, of reading an embedding that another process stored, and of one at hand;
exits with 1 if a repeat costs more than 5 % of encoding. With --quick: one round, whose times do not count.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from harness.axes.caching._proxy import Embeddings
from harness.core.model import Call, TextToImage
from harness.models.bundled import Bundled
from harness.models.folder import LocalFolder

COLOURS = ("red", "blue", "green", "white")
SHAPES = ("circle", "square", "ring", "triangle")
PROMPTS = tuple(f"{size} {colour} {shape}" for size in ("small", "large") for colour in COLOURS for shape in SHAPES)
ROUNDS = 5


def load(folder: str | None) -> TextToImage:
    """Return the bundled model, or the pipeline in a folder."""
    return (LocalFolder(path=folder) if folder else Bundled()).load("cpu", {})


def seconds(work: Callable[[str], object], prompts: tuple[str, ...], count: int) -> float:
    """Return the median over rounds of the mean time of one prompt."""
    rounds = []
    for _ in range(count):
        begin = time.perf_counter()
        for prompt in prompts:
            work(prompt)
        rounds.append((time.perf_counter() - begin) / len(prompts))
    return median(rounds)


def main() -> int:
    """Print the figures; return 0 if repeats cost at most 5 % of encoding."""
    parser = argparse.ArgumentParser(description="What the prompt-embedding cache saves.")
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    count, prompts = (1, PROMPTS[:2]) if options.quick else (ROUNDS, PROMPTS)
    torch.set_num_threads(1)
    model = load(options.folder)
    with tempfile.TemporaryDirectory() as place:
        embeddings = Embeddings(model, Path(place))
        call = Call(prompts=PROMPTS[:1], keys=(("p", 0),), steps=2, guidance=5.0, width=64, height=64)

        def answer(prompt: str) -> None:
            embeddings(model, call.model_copy(update={"prompts": (prompt,)}), {"prompt": [prompt]})

        def from_disk(prompt: str) -> None:
            embeddings.in_memory.clear()
            answer(prompt)

        encode = seconds(lambda prompt: model.encode((prompt,), True), prompts, count)
        for prompt in prompts:
            answer(prompt)
        ways = {"from disk": from_disk, "at hand": answer}
        figures = {"encode": encode} | {name: seconds(way, prompts, count) for name, way in ways.items()}
    for name, taken in figures.items():
        print(f"{name:>10}: {taken * 1e3:8.3f} ms per prompt, {1 - taken / encode:6.1%} saved")
    return int(not options.quick and figures["at hand"] > 0.05 * encode)


if __name__ == "__main__":
    sys.exit(main())
