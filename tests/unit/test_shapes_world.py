"""The shapes world: captions, labels, the held-out split and drawing, all without torch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from harness import shapes_world as world

PROMPTS = Path(world.__file__).parent / "prompts" / "data" / "shapes.jsonl"


def test_every_caption_reads_back_as_its_scene() -> None:
    one, two = world.scenes("held-out")
    for scene in (*one, *two[::10]):
        assert world.parse(scene.caption) == scene


@pytest.mark.parametrize("text", ["", "a cat", "a small red circle on a purple background", "a small red circle"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a caption"):
        world.parse(text)


def test_opposite_relations_name_the_same_image() -> None:
    near = world.parse("a small red ring left of a large blue cross on a gray background")
    far = world.parse("a large blue cross right of a small red ring on a gray background")
    assert near.labels == far.labels


def test_training_never_draws_a_held_out_caption() -> None:
    drawn = world.draw_scenes(np.random.default_rng(0), 3000)
    assert not any(world.held_out(scene.caption) for scene in drawn)
    shares = [world.held_out(scene.caption) for group in world.scenes("held-out") for scene in group]
    assert all(shares)


def test_the_same_seed_draws_the_same_image() -> None:
    scenes = world.draw_scenes(np.random.default_rng(1), 20)
    first, again = (world.render(scenes, np.random.default_rng(2)) for _ in range(2))
    assert first.shape == (20, 64, 64, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, world.render(scenes, np.random.default_rng(3)))


def test_a_larger_image_is_the_same_image_finer() -> None:
    scenes = world.draw_scenes(np.random.default_rng(4), 30)
    small = world.render(scenes, np.random.default_rng(5), 64).astype(float)
    large = world.render(scenes, np.random.default_rng(5), 128).astype(float)
    pooled = large.reshape(30, 64, 2, 64, 2, 3).mean(axis=(2, 4))
    assert np.abs(pooled - small).mean() < 1.0


def test_things_stand_where_the_caption_says() -> None:
    scene = world.parse("a small red circle above a large blue square on a white background")
    image = world.render([scene], np.random.default_rng(6))[0].astype(int)
    red, blue = (np.abs(image - np.array(world.COLOURS[c])).sum(-1) < 10 for c in ("red", "blue"))
    assert red.any() and blue.any()
    assert np.nonzero(red)[0].max() <= np.nonzero(blue)[0].min() + 2


def test_bundled_prompts_are_held_out_and_described() -> None:
    lines = [json.loads(line) for line in PROMPTS.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 1024
    assert len({line["id"] for line in lines}) == len({line["text"] for line in lines}) == 1024
    for line in lines:
        assert world.held_out(line["text"])
        assert world.parse(line["text"]).background == line["attributes"]["background"]


def test_large_set_begins_with_the_small_one() -> None:
    from tools.training.prompts import LARGE, build_large_set

    lines = [json.loads(line) for line in LARGE.read_text(encoding="utf-8").splitlines()]
    assert lines == build_large_set(seed=1)
    assert len({line["text"] for line in lines}) == len(lines) == 4096
    small = [json.loads(line)["text"] for line in PROMPTS.read_text(encoding="utf-8").splitlines()]
    assert [line["text"] for line in lines[:1024]] == small
    assert all(world.held_out(line["text"]) for line in lines)
