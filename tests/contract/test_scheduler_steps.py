"""Solvers × steps: what diffusers cannot do is a conflict in the plan, what it can do is none."""

import inspect
from typing import Any

import diffusers as d
import pytest
import torch

from harness.axes import read_entry, resolve_setting
from harness.axes.scheduler._solver import Scheduler
from harness.core.axis import AxisValue, Context
from harness.core.model import ModelInfo
from harness.measure.machine import describe_machine
from harness.models._facts import list_scheduler_tags

SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
OWN: dict[str, Any] = {
    "offset": d.PNDMScheduler(**SD, skip_prk_steps=True, steps_offset=1),
    "no offset": d.DDIMScheduler(**SD),
    "euler": d.EulerDiscreteScheduler(**SD, timestep_spacing="leading", steps_offset=1),
    "ancestral cosine": d.EulerAncestralDiscreteScheduler(beta_schedule="squaredcos_cap_v2"),
    "cosine": d.DDIMScheduler(beta_schedule="squaredcos_cap_v2"),
    "flow": d.FlowMatchEulerDiscreteScheduler(shift=3.0),
}

REFUSED = [
    ("offset", "ddim", 1000), ("offset", "ddim+eta=0.5", 1000), ("offset", "ddpm", 1000), ("offset", "pndm", 1000),
    ("offset", "default", 1000), ("euler", "ddim", 1000), ("no offset", "deis", 1000), ("no offset", "unipc", 1000),
    ("no offset", "dpmpp-2m", 1000), ("euler", "dpmpp-2m", 999), ("cosine", "dpmpp-2m+karras", 4),
    ("cosine", "dpmpp-2m+karras+sde", 20), ("cosine", "deis+karras", 20), ("cosine", "unipc+karras", 20),
    ("flow", "dpmpp-2m", 510), ("flow", "unipc", 340), ("cosine", "euler-ancestral", 4),
    ("cosine", "euler-ancestral+trailing", 3), ("ancestral cosine", "default", 4),
]  # fmt: skip
"""Own scheduler, value and steps that end in an IndexError, an AssertionError or in numbers that are none."""

EVERY = ("default", "ddim", "ddpm", "deis", "dpmpp-2m", "dpmpp-2s", "euler", "heun", "lcm", "pndm", "unipc")

ALLOWED = [
    ("offset", "ddim", 999), ("offset", "ddim+trailing", 1000), ("offset", "ddpm", 999), ("no offset", "ddim", 1000),
    ("euler", "default", 1000), ("no offset", "default", 1000), ("offset", "pndm", 999),
    ("offset", "euler+karras", 1000), ("offset", "deis+karras", 900),
    ("offset", "dpmpp-2m+karras", 900), ("offset", "unipc+karras", 900),
    ("offset", "dpmpp-2m", 998), ("euler", "unipc", 998), ("cosine", "dpmpp-2m+karras", 3), ("cosine", "unipc", 998),
    ("cosine", "euler+karras", 20), ("cosine", "heun+karras", 20), ("flow", "dpmpp-2m", 300), ("flow", "unipc", 300),
    *(("cosine", "euler-ancestral", steps) for steps in (1, 2, 3, 5, 6, 8, 20)), ("ancestral cosine", "default", 5),
    *(("cosine", "euler-ancestral+trailing", steps) for steps in (1, 2, 4, 5, 8)),
    *((own, "euler-ancestral", steps) for own in ("offset", "no offset", "euler") for steps in (1, 2, 3, 4, 8)),
    *((own, value, steps) for own in ("offset", "euler", "cosine") for steps in (1, 2, 3) for value in EVERY),
]  # fmt: skip


class Config:
    """A model's folder, as far as its scheduler's configuration goes."""

    def __init__(self, own: str) -> None:
        self._kind = type(OWN[own]).__name__
        self._config = {key: value for key, value in OWN[own].config.items() if key not in _defaults(own)}

    def config(self, component: str) -> dict[str, Any]:
        return {"_class_name": self._kind, **self._config}


def _defaults(own: str) -> set[str]:
    return set(OWN[own].config.get("_use_default_values", ()))


def refusal(own: str, value: str, steps: int) -> str | None:
    tags = frozenset(list_scheduler_tags(Config(own)))  # type: ignore[arg-type]
    known = {
        "title": "model",
        "family": "sd",
        "width": 64,
        "height": 64,
        "guidance": 5,
        "size_multiple": 8,
        "digest": "",
    }
    info = ModelInfo(**known, tags=tags, scheduler=Config(own).config("scheduler"))
    values = {"scheduler": _value("scheduler", value), "steps": _value("steps", str(steps))}
    return values["scheduler"].refuse(Context(info, describe_machine(), values))


def _value(axis: str, name: str) -> AxisValue:
    return resolve_setting(read_entry(axis, name))


def made(own: str, value: str) -> Any:
    """Return the solver as the value makes it of the model's own."""
    chosen, config = _value("scheduler", value), OWN[own].config
    if not isinstance(chosen, Scheduler):
        return type(OWN[own]).from_config(config)
    options = {**chosen.options(), **chosen.flow_options(config)}
    return getattr(d, chosen.scheduler_class).from_config(config, **options)


def walk(own: str, value: str, steps: int) -> torch.Tensor:
    """Return where a solver comes to with a denoiser that knows nothing."""
    solver = made(own, value)
    solver.set_timesteps(steps)
    random = torch.Generator().manual_seed(0)
    known = inspect.signature(solver.step).parameters
    options = {"generator": random} if "generator" in known else {}
    latents = torch.randn(1, 4, 4, 4, generator=random) * getattr(solver, "init_noise_sigma", 1.0)
    for timestep in solver.timesteps:
        if hasattr(solver, "scale_model_input"):
            solver.scale_model_input(latents, timestep)
        noise = torch.randn(1, 4, 4, 4, generator=random)
        latents = solver.step(noise, timestep, latents, **options).prev_sample
    return latents


@pytest.mark.parametrize(("own", "value", "steps"), REFUSED)
def test_steps_that_a_solver_cannot_take_are_refused(own: str, value: str, steps: int) -> None:
    reason = refusal(own, value, steps)
    assert reason is not None
    assert "use" in reason
    try:
        end = walk(own, value, steps)
    except (IndexError, AssertionError):
        return
    assert not torch.isfinite(end).all()


@pytest.mark.parametrize(("own", "value", "steps"), ALLOWED)
def test_steps_that_a_solver_can_take_are_allowed(own: str, value: str, steps: int) -> None:
    assert refusal(own, value, steps) is None
    if steps > 50:  # a whole walk takes seconds: what breaks one is seen at its beginning
        solver = made(own, value)
        solver.set_timesteps(steps)
        first, second = solver.timesteps[:2].tolist()
        assert first <= 999 or hasattr(solver, "sigmas")  # those that interpolate between timesteps
        assert first != second or not getattr(_value("scheduler", value), "by_timestep", False)
    else:
        assert torch.isfinite(walk(own, value, steps)).all()
