"""Every metric has a self-test vector, passes it here, and fails it as soon as something changes its number."""

import json
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

from harness.core.errors import MachineError
from harness.metrics import Metric, Weights, get_metric, list_metrics
from harness.metrics import _selftest as observing
from harness.metrics import _selftest as selftest
from harness.metrics._selftest import VECTORS, compare, image, load_vector, observe, self_test
from tests.selftest_vectors import stand_in

METRICS = [get_metric(name) for name in list_metrics()]


@pytest.fixture(params=METRICS, ids=lambda metric: metric.name)
def metric(request: pytest.FixtureRequest) -> Metric:
    found: Metric = request.param
    return found


def scorer_of(metric: Metric, stack: ExitStack) -> Any:
    """The scorer, of real architecture without values where its weights are not here and are not needed."""
    try:
        return metric.load(Weights())
    except MachineError as error:
        if load_vector(metric).outputs:
            pytest.skip(error.what)
        return stack.enter_context(stand_in(metric))


def test_every_metric_has_a_vector_and_no_other_has() -> None:
    assert list(json.loads(VECTORS.read_text(encoding="utf-8"))) == list(list_metrics())


def test_a_vector_says_what_it_covers(metric: Metric) -> None:
    vector = load_vector(metric)
    assert bool(vector.outputs) == (vector.covers == "pixels to scores")
    assert vector.inputs or vector.outputs
    assert vector.made_with.startswith("torch ")
    if not metric.needs():
        assert vector.outputs, "weights that ship can be run everywhere"


def test_self_test_passes_and_fails_for_moved_pixels(metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        scorer = scorer_of(metric, stack)
        self_test(metric, scorer)
        vector = load_vector(metric)
        moved = image
        monkeypatch.setattr(observing, "image", lambda size, other=False: np.roll(moved(size, other), 1, axis=1))
        found = observe(metric, scorer, whole=bool(vector.outputs))
    if metric.name in ("psnr", "ssim", "colour"):  # moving images changes these too little: other images instead
        monkeypatch.setattr(observing, "image", lambda size, other=False: 255 - moved(size, other) // 2)
        found = observe(metric, scorer, whole=True)
    with pytest.raises(MachineError) as caught:
        compare(metric, vector, found)
    message = str(caught.value)
    for word in (metric.name, "found", "expected", "An installed library changed the number", "torch "):
        assert word in message


def flipped_antialias(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.nn import functional

    resize = functional.interpolate

    def other(*words: Any, antialias: bool = False, **options: Any) -> Any:
        return resize(*words, antialias=not antialias, **options)

    monkeypatch.setattr(functional, "interpolate", other)


def other_corners(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.nn import functional

    resize = functional.interpolate

    def other(*words: Any, align_corners: bool = False, **options: Any) -> Any:
        return resize(*words, align_corners=True, **options)

    monkeypatch.setattr(functional, "interpolate", other)


def bilinear_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    resize = Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda self, size, *_, **__: resize(self, size, Image.Resampling.BILINEAR)
    )


def other_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.transforms import Normalize

    forward = Normalize.forward
    monkeypatch.setattr(Normalize, "forward", lambda self, tensor: forward(self, tensor) + 0.01)


def other_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.Tensor, "div_", lambda self, by: self.mul_(1 / 256))


CHANGES = [
    ("fid:bundled", flipped_antialias),
    ("lpips:bundled", flipped_antialias),
    ("clip:bundled", flipped_antialias),
    ("fid:mlperf", flipped_antialias),
    ("fid:torchmetrics", flipped_antialias),
    ("kid:mlperf", other_corners),
    ("fid:clean", bilinear_pillow),
    ("clip:mlperf", bilinear_pillow),
    ("clip:mlperf", other_mean),
    ("cmmd:openai", other_mean),
    ("lpips:alex", other_levels),
    ("lpips:vgg", other_levels),
    ("fid:bundled", other_levels),
    ("ssim", other_levels),
]


@pytest.mark.parametrize(("name", "change"), CHANGES, ids=lambda value: getattr(value, "__name__", value))
def test_a_subtle_change_in_a_library_fails_loudly(name: str, change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    metric = get_metric(name)
    with ExitStack() as stack:
        scorer = scorer_of(metric, stack)
        selftest._PASSED.pop(scorer.network, None)
        change(monkeypatch)
        with pytest.raises(MachineError, match=f"self-test of {name}"):
            self_test(metric, scorer)


def test_other_token_ids_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = get_metric("clip:mlperf")
    with ExitStack() as stack:
        scorer = scorer_of(metric, stack)
        monkeypatch.setattr(observing, "TEXT", observing.TEXT.replace("café", "cafe"))
        with pytest.raises(MachineError, match="token ids of the text: found"):
            compare(metric, load_vector(metric), observe(metric, scorer, whole=False))


def test_another_unit_of_the_score_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = get_metric("clip:bundled")
    scorer = metric.load(Weights())
    selftest._PASSED.pop(scorer.network, None)
    monkeypatch.setattr(type(metric), "to_score", lambda self, values: np.maximum(values, 0) * 99)
    with pytest.raises(MachineError, match="score: found"):
        self_test(metric, scorer)


def test_other_shipped_weights_fail(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    metric = get_metric("psnr")
    vector = load_vector(metric).model_copy(update={"shipped": {"alex.pth": "0" * 64}})
    with pytest.raises(MachineError, match=r"alex\.pth has sha256 None, expected 0000"):
        compare(metric, vector, observe(metric, metric.load(Weights()), whole=True))


def test_metric_without_vector_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "_vectors", dict)
    with pytest.raises(MachineError, match=r"no self-test vector(.|\n)*python -m tests\.selftest_vectors"):
        load_vector(get_metric("psnr"))
