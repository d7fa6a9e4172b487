"""Damages: reproducible, stronger at each level, of the same visibility at any resolution."""

import numpy as np
import pytest

from harness.core.policy import FAMILIES
from harness.damages import DAMAGES, IDENTICAL, LEVELS, SET_DAMAGES, SHARES, apply_damage, dose_words


def images(side: int = 64, count: int = 3) -> np.ndarray:
    """Smooth colours with an edge, uint8 (count, side, side, 3)."""
    y, x = np.mgrid[:side, :side] / side
    ramp = np.stack([200 * x + 20, 150 * y + 40, 120 * (1 - x) + 60], axis=-1)
    ramp[side // 4 : side // 2, side // 4 : side // 2] = (230, 40, 60)
    return np.stack([np.roll(ramp, shift, axis=1) for shift in range(count)]).astype(np.uint8)


def test_every_family_that_a_policy_can_name_is_there() -> None:
    assert (*DAMAGES, *SET_DAMAGES) == FAMILIES
    assert all(len(damage.doses) == len(LEVELS) for damage in DAMAGES.values())
    assert len(SHARES) == len(LEVELS)
    assert list(SHARES) == sorted(SHARES)


@pytest.mark.parametrize("family", DAMAGES)
def test_more_of_it_changes_images_more(family: str) -> None:
    clean = images()
    apart = [np.abs(apply_damage(clean, f"{family}:{level}") - clean.astype(float)).mean() for level in LEVELS]
    assert apart == sorted(apart)
    assert apart[0] < apart[3] < apart[5]


@pytest.mark.parametrize("family", DAMAGES)
def test_damage_is_repeatable_for_each_image_alone(family: str) -> None:
    clean = images()
    whole = apply_damage(clean, f"{family}:3")
    alone = np.concatenate([apply_damage(clean[i : i + 1], f"{family}:3") for i in range(len(clean))])
    assert whole.dtype == np.uint8
    assert (whole == alone).all()


def test_identical_is_a_copy() -> None:
    clean = images()
    assert (apply_damage(clean, IDENTICAL) == clean).all()


def test_blur_and_noise_grow_with_large_images_only() -> None:
    assert dose_words("blur", 3, 64) == dose_words("blur", 3, 384) == "σ 1 px"
    assert dose_words("blur", 3, 1024) == "σ 2.67 px"
    assert dose_words("noise", 3, 64) == "sd 14 grey levels"
    assert dose_words("noise", 3, 768) == "sd 27.9 grey levels"
    assert dose_words("jpeg", 3, 1024) == "quality 24"
    assert dose_words("contrast", 3, 64) == "40 % less"


def test_grey_images_can_be_damaged() -> None:
    grey = np.full((2, 32, 32, 3), 128, dtype=np.uint8)
    for family in DAMAGES:
        assert apply_damage(grey, f"{family}:5").shape == grey.shape
