"""The self-test of a metric: before it scores a run, it scores generated images and compares.

A library that resizes, normalises or tokenises differently changes every score a little and no
score visibly (torchmetrics 1.8 did so to FID). So the real path is run, from uint8 pixels to the
number, and compared step by step: network inputs, token ids, features, distances, scores. Where a
metric's weights were not available when the expected numbers were computed, they end at the network
inputs; `covers` in the vector says so.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from harness.checkpoints.digest import digest_file
from harness.core.base import Frozen
from harness.core.errors import MachineError
from harness.metrics._base import (
    CorrectnessScorer,
    FeatureScorer,
    Metric,
    Network,
    PairScorer,
    Pixels,
    Scorer,
    TextScorer,
)


class _StoppedError(Exception):
    """Ends a forward pass whose input was recorded."""


@contextmanager
def record_input(stop: bool) -> Iterator[list[Any]]:
    """Record the first tensor that any torch module with weights receives; `stop`.

    End the pass there. Modules without weights, such as torchvision's transforms, prepare the
    input. Nothing is recorded of a scorer without torch modules.
    """
    inputs: list[Any] = []

    def take(module: Any, arguments: tuple[Any, ...]) -> None:
        if inputs or not arguments or next(module.parameters(), None) is None:
            return
        inputs.append(arguments[0].detach().cpu().numpy())
        if stop:
            raise _StoppedError

    with ExitStack() as stack:
        if "torch" in sys.modules:  # else there is no torch module: pixel metrics do without torch
            from torch.nn.modules.module import register_module_forward_pre_hook

            stack.callback(register_module_forward_pre_hook(take).remove)
        with suppress(_StoppedError):
            yield inputs


LIBRARIES = (
    "torch", "torchvision", "numpy", "scipy", "pillow", "open_clip_torch", "lpips",
    "torch-fidelity", "torchmetrics", "transformers", "tokenizers",
)  # fmt: skip
_SAMPLES = 32


class Excerpt(Frozen):
    """A tensor in few numbers: shape, mean, standard deviation, values at fixed positions."""

    what: str
    shape: tuple[int, ...]
    values: tuple[float, ...]


class Vector(Frozen):
    """The expected results of a metric.

    `shipped` are sha256 of weights that are part of packages, `made_with` are library versions.
    """

    covers: str
    made_with: str
    shipped: dict[str, str]
    inputs: tuple[Excerpt, ...]
    outputs: tuple[Excerpt, ...]


def list_versions() -> str:
    """Return the installed versions of all libraries that can change a number."""

    def installed(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "absent"

    return ", ".join(f"{name} {installed(name)}" for name in LIBRARIES)


def excerpt(what: str, values: Any) -> Excerpt:
    """Return a tensor or array in few numbers of seven digits."""
    array = np.asarray(values, dtype=np.float64)
    flat = array.ravel()
    places = (np.arange(_SAMPLES, dtype=np.int64) * 2_654_435_761) % flat.size
    chosen = [flat.mean(), flat.std(), *flat[places]] if flat.size > _SAMPLES else list(flat)
    return Excerpt(
        what=what, shape=array.shape, values=tuple(float(f"{value:.7g}") for value in chosen)
    )


def describe_difference(wanted: Excerpt, here: Excerpt, tolerance: float) -> str:
    """Return how an excerpt differs by more than `tolerance` of the largest value, or ""."""
    if (wanted.what, wanted.shape) != (here.what, here.shape):
        return f"{here.what} has shape {here.shape}, expected {wanted.what} of shape {wanted.shape}"
    expected, found = np.asarray(wanted.values), np.asarray(here.values)
    allowed = tolerance * np.abs(expected).max()
    apart = np.abs(expected - found)
    worst = int(np.nanargmax(np.where(np.isfinite(apart), apart, np.inf)))
    if apart[worst] <= allowed:
        return ""
    return (
        f"{wanted.what}: found {found[worst]:.6g}, expected {expected[worst]:.6g} ± {allowed:.2g}"
    )


SIZES = ((48, 64), (352, 400))
"""Height and width: one smaller and one larger than network inputs, neither square."""
TEXT = "A photo of 2 small red circles, left of a café’s window — naïve & large"
CHECKABLE = (
    TEXT,
    "a photo of an orange bench and a blue tv",
    "a large red circle on a white background",
)
"""Texts of which each correctness metric can check at least one."""


def image(size: tuple[int, int], other: bool = False) -> Pixels:
    """Return a uint8 image (height, width, 3) of waves and squares; `other` damages it."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.int64)
    red = _wave(3 * x + 2 * y, 61)
    green = ((x // 9 + y // 7) % 2) * 170 + _wave(x - y, 37) // 4
    blue = _wave(x * y // 16, 97)
    pixels = np.stack([red, green, blue], axis=-1)
    if other:
        pixels = pixels * 7 // 8 + _wave(5 * x + 11 * y, 23)[..., None] // 9
    return pixels.clip(0, 255).astype(np.uint8)


def _wave(ticks: NDArray[np.int64], half: int) -> NDArray[np.int64]:
    return np.abs(ticks % (2 * half) - half) * 255 // half


def observe(metric: Metric, scorer: Scorer, whole: bool) -> Vector:
    """Return the results of a scorer on the test images; not `whole`: only network inputs."""
    inputs: list[Excerpt] = []
    outputs: list[Excerpt] = []
    for size in (size for size in SIZES if min(size) >= metric.least_pixels):
        name = f"image of {size[1]}×{size[0]}"
        with record_input(stop=not whole) as fed:
            seen = scorer.network.extract(image(size)[None])
        inputs += [excerpt(f"{name}, as its network is fed", tensor) for tensor in fed]
        if whole:
            outputs += _results(metric, scorer, seen, (name, size))
    if isinstance(scorer, TextScorer):
        with record_input(stop=not whole) as fed:
            read = scorer.texts([TEXT])
        inputs += [excerpt("token ids of the text", tensor) for tensor in fed]
        outputs += [excerpt("text features", read)] if whole else []
    if isinstance(scorer, CorrectnessScorer):
        inputs += [excerpt(what, ids) for what, ids in scorer.token_ids().items()]
    shipped = {path.name: digest_file(path) for path in metric.ships()}
    covers = (
        "pixels to scores"
        if whole
        else "what the network is fed; not its features: the weights could not be had"
    )
    return Vector(
        covers=covers,
        made_with=list_versions(),
        shipped=shipped,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
    )


def _results(
    metric: Metric, scorer: Any, seen: Any, named: tuple[str, tuple[int, int]]
) -> list[Excerpt]:
    name, size = named
    if isinstance(scorer, PairScorer):
        distances = scorer.distances(seen, scorer.network.extract(image(size, other=True)[None]))
        scores = metric.to_score(distances)
        return [excerpt(f"{name}, distance", distances), excerpt(f"{name}, score", scores)]
    if isinstance(scorer, CorrectnessScorer):
        texts = [next(text for text in CHECKABLE if not metric.refusal(text))]
        found = {**scorer.evidence(seen, texts), "share": scorer.found(seen, texts)}
        return [excerpt(f"{name}, {what}", numbers) for what, numbers in found.items()]
    assert isinstance(scorer, FeatureScorer)
    features = scorer.features(seen)
    read = [excerpt(f"{name}, features", features)]
    if isinstance(scorer, TextScorer):
        cosines = np.asarray(scorer.texts([TEXT]) @ features[0], dtype=np.float64)
        read.append(excerpt(f"{name}, score", metric.to_score(cosines)))
    return read


VECTORS = Path(__file__).with_name("_selftest.json")
_INPUT_TOLERANCE = 2e-4
_OUTPUT_TOLERANCE = 5e-4
_ARITHMETIC_TOLERANCE = 5e-5
"""Shares of the largest value; the last one is for metrics without a network. The widest and the
narrowest instructions of one CPU differ by 4e-6, a wrong resize or normalisation by 1e-3 and
more."""

_PASSED: WeakKeyDictionary[Network, set[str]] = WeakKeyDictionary()


def self_test(metric: Metric, scorer: Scorer) -> None:
    """Run the self-test of a metric, once per process and loaded network.

    Raises MachineError naming the metric, found and expected values, and the installed versions.
    """
    passed = _PASSED.setdefault(scorer.network, set())
    if metric.name not in passed:
        compare(
            metric,
            load_vector(metric),
            observe(metric, scorer, whole=bool(load_vector(metric).outputs)),
        )
        passed.add(metric.name)


def load_vector(metric: Metric) -> Vector:
    """Return the expected results of a metric; MachineError if the package has none."""
    try:
        return _vectors()[metric.name]
    except KeyError:
        fix = "Make it with: python -m tests.selftest_vectors"
        raise MachineError("this metric has no self-test vector", metric.name, fix) from None


@cache
def _vectors() -> dict[str, Vector]:
    return TypeAdapter(dict[str, Vector]).validate_json(VECTORS.read_bytes())


def compare(metric: Metric, expected: Vector, found: Vector) -> None:
    """Raise MachineError for the first difference from the expected results."""
    for name, digest in expected.shipped.items():
        if found.shipped.get(name) != digest:
            raise _failed(
                metric, expected, f"{name} has sha256 {found.shipped.get(name)}, expected {digest}"
            )
    output_tolerance = _OUTPUT_TOLERANCE if expected.inputs else _ARITHMETIC_TOLERANCE
    for theirs, ours, tolerance in (
        (expected.inputs, found.inputs, _INPUT_TOLERANCE),
        (expected.outputs, found.outputs, output_tolerance),
    ):
        if len(theirs) != len(ours):
            raise _failed(
                metric, expected, f"{len(ours)} steps were recorded, expected {len(theirs)}"
            )
        for wanted, here in zip(theirs, ours, strict=True):
            if wrong := describe_difference(wanted, here, tolerance):
                raise _failed(metric, expected, wrong)


def _failed(metric: Metric, expected: Vector, wrong: str) -> MachineError:
    what = (
        f"{metric.name} computes a wrong number on this machine, so nothing is scored with it. "
        f"{wrong}"
    )
    where = f"self-test of {metric.name}"
    fix = (
        f"An installed library changed the number. Installed: {list_versions()}. The expected "
        f"number was made with: {expected.made_with}. Install those versions, or leave the metric "
        "out of quality.metrics."
    )
    return MachineError(what, where, fix)
