"""Tiny pipelines of every family: seeded random weights, real classes, saved and loaded like any model."""

from pathlib import Path

FAMILIES = ("sd", "sdxl", "sd3", "flux", "pixart", "sana")
EXPORTED = ("sd", "flux")
"""Families whose denoisers `make test` exports, a UNet and a transformer: each takes 15 s."""


def build_tiny(family: str, folder: Path) -> Path:
    """Write the tiny pipeline of a family into `folder` and return it; the same weights every time."""
    from tests.tiny.build import build  # imports torch and diffusers: not while tests are collected

    return build(family, folder)
