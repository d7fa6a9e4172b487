"""Weights that were trained to need fewer steps."""

from harness.core.axis import Axis

AXIS = Axis(
    name="distillation", summary="few-step weights", order=40, apply_order=10, default="none"
)
