"""Inception features of a folder of images: ours against pytorch-fid's own code, same files, threads and process.

HARNESS_WEIGHTS=… python -m tests.benchmarks.feature_extraction [IMAGES] [ROUNDS] [--quick]

With --quick: 4 images, once, whose times do not count; where HARNESS_WEIGHTS is not set, nothing is done.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image

from harness.core.matrix import Quality
from harness.evaluation.feature_store import FeatureCache
from harness.evaluation.prepared_metric import prepare_metric
from harness.evaluation.reference import open_reference
from harness.metrics import get_metric
from tests.builders.real_images import real_images

BATCH, MOST_WORKERS = 50, 8
"""Defaults of pytorch-fid's script."""


def pytorch_fid_model() -> Any:
    """pytorch-fid's network with the weights of HARNESS_WEIGHTS instead of a download."""
    from pytorch_fid import inception

    state = torch.load(Path(os.environ["HARNESS_WEIGHTS"]) / "inception_v3_2015_12_05_pool3.pth", weights_only=True)
    state |= {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    inception.load_state_dict_from_url = lambda *_, **__: state
    return inception.InceptionV3([3])


def theirs(folder: Path, model: Any) -> np.ndarray:
    """What pytorch-fid's script does with a folder, up to the features."""
    from pytorch_fid.fid_score import get_activations

    workers = min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    return np.asarray(get_activations(sorted(folder.glob("*.png")), model, BATCH, 2048, "cpu", workers))


def ours(folder: Path, cache: Path) -> np.ndarray:
    """What an evaluation does with a reference folder: hash, read, look, keep."""
    reference = open_reference(str(folder))
    ready = prepare_metric(get_metric("fid:mlperf"), Quality(), reference, ())
    features = FeatureCache(cache)
    found = reference.read(ready.reader, features)  # type: ignore[union-attr]
    features.close()
    return np.asarray(found)


def main(count: int, rounds: int) -> None:
    """Print seconds of both, round by round, and the median ratio."""
    model = pytorch_fid_model()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "images"
        folder.mkdir()
        for index, image in enumerate(real_images(count)):
            Image.fromarray(image).save(folder / f"{index:04}.png")
        ours(folder, Path(name) / "warm")
        ratios = []
        for number in range(rounds):
            begin = time.perf_counter()
            a = theirs(folder, model)
            middle = time.perf_counter()
            b = ours(folder, Path(name) / f"cache-{number}")
            end = time.perf_counter()
            assert np.abs(a - b).max() < 1e-4
            ratios.append((middle - begin) / (end - middle))
            print(f"pytorch-fid {middle - begin:.1f} s, ours {end - middle:.1f} s, {ratios[-1]:.2f}× as fast")
        begin = time.perf_counter()
        ours(folder, Path(name) / "cache-0")
        print(f"again, from the cache: {time.perf_counter() - begin:.2f} s")
    print(f"{count} images, {torch.get_num_threads()} threads: ours is {median(ratios):.2f}× as fast (median)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Features of Inception: ours against pytorch-fid's.")
    parser.add_argument("images", type=int, nargs="?", default=300)
    parser.add_argument("rounds", type=int, nargs="?", default=3)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if "HARNESS_WEIGHTS" not in os.environ:
        print("skipped: HARNESS_WEIGHTS is not set, which names the folder of Inception's weights")
        sys.exit(0 if options.quick else 4)
    main(*((4, 1) if options.quick else (options.images, options.rounds)))
