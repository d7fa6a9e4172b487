"""Schedulers: denoiser calls counted, noise of each image its own, what does not fit refused with both sides named."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.model import Call
from harness.core.outcome import Caution
from harness.models import resolve_model
from harness.planning.availability import find_cautions
from tests.builders.cell_on_model import BUNDLED, PROMPTS, Planned, distance, plan_cell, run_cell

Tiny = Callable[[str], Path]


@pytest.mark.parametrize(
    ("entry", "family", "calls"),
    [("heun", "sd", 7), ("default", "sd", 5), ("pndm", "sdxl", 5), ("euler", "sd", 4), ("dpmpp-2s", "sd", 4),
     ("flow-heun", "sd3", 7), ("unipc", "flux", 4)],
)  # fmt: skip
def test_denoiser_calls_are_counted_and_announced(
    entry: str, family: str, calls: int, tiny: Tiny, tmp_path: Path
) -> None:
    """Stable Diffusion's own scheduler is PNDM: one call more than steps."""
    planned = plan_cell(tiny(family), {"scheduler": entry})
    made = run_cell(planned, tmp_path)
    (did,) = [did for did in made.applied if did.axis == "steps"]
    assert did.figures == {"denoiser_calls": calls, "steps": 4}
    assert (did.summary == "4 denoiser calls") == (calls == 4)
    warned = {caution.kind for caution in _cautions(planned)}
    if entry != "default":
        assert ("denoiser-calls" in warned) == (calls != 4)


@pytest.mark.parametrize("entry", ["euler-ancestral", "dpmpp-2m+sde", "ddim+eta=1", "ddpm", "lcm", "tcd+eta=1"])
def test_noise_on_the_way_does_not_depend_on_the_batch(entry: str, tiny: Tiny, tmp_path: Path) -> None:
    made = run_cell(plan_cell(tiny("sdxl"), {"scheduler": entry}), tmp_path)
    call = made.recipe.call(PROMPTS, (0,))
    alone = Call(**{**call.model_dump(), "prompts": call.prompts[1:], "keys": call.keys[1:]})
    assert distance(made.model.generate(alone)[0], made.first[1]) < 1e-5


@pytest.mark.parametrize(
    ("plain", "noisy"), [("ddim", "ddim+eta=1"), ("dpmpp-2m", "dpmpp-2m+sde"), ("tcd+eta=0", "tcd+eta=1"),
                         ("euler", "euler+karras"), ("ddim", "ddim+trailing"), ("flow-euler", "flow-euler+shift=1")],
)  # fmt: skip
def test_an_option_changes_the_images(plain: str, noisy: str, tiny: Tiny, tmp_path: Path) -> None:
    family = "sd3" if "flow" in plain else "sdxl"
    images = [run_cell(plan_cell(tiny(family), {"scheduler": entry}), tmp_path).first for entry in (plain, noisy)]
    assert distance(images[1], images[0]) > 1e-3


@pytest.mark.parametrize("entry", ["dpmpp-2m", "unipc"])
def test_multistep_solvers_agree_on_a_flow(entry: str, tiny: Tiny, tmp_path: Path) -> None:
    """With many steps all solvers of one ODE meet: the flow's sigmas, shift and prediction are the model's."""
    many = {"steps": "50", "guidance": "1"}
    euler = run_cell(plan_cell(tiny("sd3"), {"scheduler": "flow-euler", **many}), tmp_path).first
    other = run_cell(plan_cell(tiny("sd3"), {"scheduler": entry, **many}), tmp_path).first
    few = run_cell(plan_cell(tiny("sd3"), {"scheduler": "flow-euler", **many, "steps": "2"}), tmp_path).first
    assert distance(other, euler) < 0.3 * distance(few, euler)


def test_the_plan_refuses_what_does_not_fit(tiny: Tiny) -> None:
    def reason(family: str, **settings: str) -> str:
        folder = BUNDLED if family == "bundled" else tiny(family)
        return str(plan_cell(folder, settings).reason)

    assert "scheduler euler does not work with the flux (flow)" in reason("flux", scheduler="euler")
    assert "scheduler flow-euler does not work with the sdxl (diffusion)" in reason("sdxl", scheduler="flow-euler")
    assert "zero terminal SNR" in reason("bundled", scheduler="heun", resolution="64x64")
    assert "zero terminal SNR" in reason("bundled", scheduler="euler+karras", resolution="64x64")
    assert "50 timesteps" in reason("sdxl", scheduler="lcm", steps="51")
    assert "would not be repeatable" in reason("flux", scheduler="dpmpp-2m+sde")
    cascade = reason("flux", scheduler="unipc", resolution="progressive+stages=16-32")
    assert "use flow-euler" in cascade


def test_sampling_that_disappoints_is_announced(tiny: Tiny) -> None:
    def kinds(family: str, **settings: str) -> set[str]:
        return {caution.kind for caution in _cautions(plan_cell(tiny(family), settings))}

    assert "few-steps" in kinds("sdxl", steps="2")
    assert "few-steps" not in kinds("sdxl", steps="4")
    assert "undistilled" in kinds("sdxl", scheduler="lcm")
    assert "embedded-guidance" in kinds("flux", guidance="1")
    assert "unusual-size" in kinds("sdxl", resolution="64x64")


def _cautions(planned: Planned) -> tuple[Caution, ...]:
    return find_cautions(planned.cell, resolve_model(planned.model).describe(), planned.machine)
