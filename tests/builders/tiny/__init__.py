"""Tiny pipelines of every family: seeded random weights, real classes, saved and loaded like any model."""

from pathlib import Path

FAMILIES = ("sd", "sdxl", "sd3", "flux", "pixart", "sana")


def build_tiny(family: str, folder: Path) -> Path:
    """Write the tiny pipeline of a family into `folder` and return it; the same weights every time."""
    from tests.builders.tiny.build import build  # imports torch and diffusers: not while tests are collected

    return build(family, folder)
