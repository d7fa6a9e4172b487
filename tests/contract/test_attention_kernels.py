"""The kernel a cell names is the one that runs, and the process's own choice is left alone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.axes import read_entry, resolve_setting
from harness.core.axis import Context, Setup
from harness.core.errors import NoEffect
from harness.core.machine import Gpu, Machine
from harness.core.model import Call
from harness.measure.machine import describe_machine
from harness.models.folder import LocalFolder
from tests.builders.cell_on_model import plan_cell

ONE = Call(prompts=("a ring",), keys=(("p", 0),), steps=1, guidance=2, width=32, height=32)


def with_gpu(capability: tuple[int, int], **packages: str) -> Machine:
    """This machine with a card in it."""
    card = Gpu(name="a card", capability=capability, memory_bytes=1, driver="", cuda="", power_limit_w=300.0)
    here = describe_machine()
    return here.model_copy(update={"gpus": (card,), "packages": {**here.packages, **packages}})


@pytest.mark.parametrize("family", ["sd", "flux"])
def test_a_switch_holds_for_its_model_alone(family: str, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    from harness.axes.attention._switch import count_kernels, switch_kernel

    model, other = (LocalFolder(path=tiny(family)).load("cpu", {}) for _ in range(2))
    usual = count_kernels(other, ONE)
    assert set(usual) == {"flash_attention_for_cpu"}
    switch_kernel(model.denoiser, "_native_math")
    assert count_kernels(model, ONE) == {"attention_math": sum(usual.values())}
    assert count_kernels(other, ONE) == usual


def test_a_kernel_that_does_not_run_fails(
    tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.axes.attention._switch.switch_kernel", lambda denoiser, name: 4)
    value = resolve_setting(read_entry("attention", "math"))
    model = LocalFolder(path=tiny("sd")).load("cpu", {})
    with pytest.raises(NoEffect, match="ran as flash_attention_for_cpu"):
        value.apply(model, Setup(ONE, 1, tmp_path))


def test_half_precision_kernels_say_what_they_need(tiny: Callable[[str], Path]) -> None:
    sage = resolve_setting(read_entry("attention", "sage"))
    assert "needs an NVIDIA GPU" in str(sage.unavailable(describe_machine()))
    assert "compute capability 8.0" in str(sage.unavailable(with_gpu((7, 5))))
    assert "pip install sageattention" in str(sage.unavailable(with_gpu((9, 0))))
    machine = with_gpu((9, 0), sageattention="2.2.0")
    assert sage.unavailable(machine) is None
    info = LocalFolder(path=tiny("sdxl")).describe()
    for precision, refused in (("fp32", True), ("bf16", False)):
        values = {"precision": resolve_setting(read_entry("precision", precision))}
        assert bool(sage.refuse(Context(info, machine, values))) == refused
    assert "masked-attention" in str(plan_cell(tiny("pixart"), {"attention": "flash"}).reason)
