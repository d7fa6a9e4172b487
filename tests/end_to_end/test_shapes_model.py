"""The bundled pipeline, its LCM-LoRA and its metric nets load, are deterministic and draw what captions say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from harness import shapes_world as world  # noqa: E402
from harness.metrics.bundled import attributes, clip  # noqa: E402
from harness.metrics.bundled.captions import WORDS  # noqa: E402
from harness.models import shapes  # noqa: E402
from tools.training import (  # noqa: E402
    data,
    learned,
    pipeline,
    tokens,
)

COUNT = 24


@pytest.fixture(scope="module", autouse=True)
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(min(2, before))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def captions() -> list[str]:
    return learned.draw_captions(COUNT)


@pytest.fixture(scope="module")
def images(captions: list[str]) -> dict[str, np.ndarray]:
    plain = pipeline.load(shapes.PIPELINE)
    drawn = {f"{n} steps": pipeline.sample(plain, captions, n, shapes.GUIDANCE) for n in (4, 25)}
    drawn["again"] = pipeline.sample(plain, captions[:4], 4, shapes.GUIDANCE)
    drawn["128 px"] = pipeline.sample(plain, captions[:4], 10, shapes.GUIDANCE, pixels=128)
    lcm = pipeline.load(shapes.PIPELINE, lora=shapes.LCM_LORA)
    drawn["lcm"] = pipeline.sample(lcm, captions, 4, 1.0)
    return drawn


@pytest.mark.parametrize("way", ["25 steps", "lcm"])
def test_images_show_what_their_captions_say(way: str, images: dict[str, np.ndarray], captions: list[str]) -> None:
    truth = np.array([world.parse(caption).labels for caption in captions])
    right = learned.score(learned.read_labels(images[way], attributes.load()), truth)
    assert right["background"] >= 0.85
    assert right["colour"] >= 0.75
    assert right["shape"] >= 0.65
    assert right["relation"] >= 0.6


def test_the_same_noise_gives_the_same_image(images: dict[str, np.ndarray]) -> None:
    difference = images["again"].astype(int) - images["4 steps"][:4].astype(int)
    assert np.abs(difference).max() <= 2


def test_the_lcm_lora_changes_the_images(images: dict[str, np.ndarray]) -> None:
    difference = images["lcm"].astype(int) - images["4 steps"].astype(int)
    assert np.abs(difference).mean() > 2


def test_larger_images_have_the_size_asked_for(images: dict[str, np.ndarray]) -> None:
    assert images["128 px"].shape == (4, 128, 128, 3)


def test_the_attribute_net_reads_real_renders() -> None:
    drawn, labels, _ = data.draw_examples(123, 300, "held-out")
    right = learned.score(learned.read_labels(drawn, attributes.load()), labels.numpy())
    assert min(right[name] for name in ("shape", "colour", "background", "relation")) >= 0.96


def test_attribute_classes_equal_those_of_the_world() -> None:
    assert attributes.CLASSES == world.CLASSES
    assert set(WORDS) == set(tokens.words())


def test_the_clip_net_prefers_the_right_caption() -> None:
    drawn, _, captions = data.draw_examples(321, 64, "held-out")
    net = clip.load()
    images = clip.encode_image(net, data.to_tensor(drawn) / 2 + 0.5)
    scores = images @ clip.encode_text(net, captions).T
    own = scores.diagonal()
    assert float((own >= scores.max(dim=1).values - 1e-6).float().mean()) >= 0.8


def test_tokenizer_knows_the_words_and_takes_any_text() -> None:
    tokenizer = pipeline.load(shapes.PIPELINE).tokenizer_2
    assert all(len(tokenizer(word).input_ids) == 3 for word in tokens.words())
    assert len(tokenizer("Hello, wörld!", padding="max_length", truncation=True).input_ids) == tokens.LENGTH
