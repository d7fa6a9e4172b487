"""A precision changes its own cell: what torch and inductor are set to stays, or can still be read."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import NoEffect
from tests.builders.cell_on_model import plan_cell, run_cell

Tiny = Callable[[str], Path]


@pytest.mark.parametrize("name", ["int8-torchao", "int8-torchao+dynamic"])
def test_quantizing_leaves_inductor_as_it_is(name: str, tiny: Tiny, tmp_path: Path) -> None:
    """torchao would tune inductor's settings for this cell alone, which confounds it with its compiled neighbours."""
    pytest.importorskip("torchao")
    import torch
    import torch._inductor.config as inductor

    before, products = inductor.save_config_portable(), torch.get_float32_matmul_precision()
    run_cell(plan_cell(tiny("sd"), {"precision": name}), tmp_path)
    assert inductor.save_config_portable() == before
    assert torch.get_float32_matmul_precision() == products


@pytest.mark.parametrize("precision", ["tf32", "ieee"])
def test_older_getters_still_answer(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inductor, diffusers and `cudnn.flags` call torch's older getters, which its newer setters make raise."""
    import torch

    from harness.axes.precision._quantized import set_matmul_precision

    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    monkeypatch.setattr(torch.Tensor, "cuda", lambda tensor: tensor)
    try:
        with contextlib.suppress(NoEffect):  # a processor's products lose no bits
            set_matmul_precision(precision)  # type: ignore[arg-type]
        assert torch.backends.cuda.matmul.allow_tf32 == torch.backends.cudnn.allow_tf32 == (precision == "tf32")
        assert torch.get_float32_matmul_precision() == ("high" if precision == "tf32" else "highest")
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            pass
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
