"""Guidance, negative prompts and a fixed latent mean the right thing in every family."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.core.errors import UsageError
from harness.core.matrix import Model
from harness.core.model import Call, ModelInfo
from harness.core.plan import Latent, Prompt
from harness.models import resolve_model
from harness.models._folder import Folder
from harness.models.families import find_family
from harness.planning.availability import refuse_latent, warn_of_negatives
from tests.builders.cell_on_model import distance, plan_cell, run_cell
from tests.tiny import FAMILIES, build_tiny

TRUE = tuple(family for family in FAMILIES if family != "flux")
"""Families whose guidance is a second pass of the denoiser."""
ENCODERS = {"sd": 1, "sdxl": 2, "sd3": 3, "flux": 2, "pixart": 1, "sana": 1}
PLAIN = Call(
    prompts=("a red circle", "a blue ring"), keys=(("p", 0), ("q", 0)), steps=2, guidance=3, width=32, height=32
)
BLUE, EMPTY = ("blue", "all kinds of noise"), ("", "")


class Loaded:
    """A family's tiny pipeline, loaded once, and what it draws."""

    def __init__(self, folder: Path) -> None:
        source = resolve_model(Model(source="folder", options={"path": str(folder)}))
        self.info, self.model = source.describe(), source.load("cpu", {})
        self.given: list[dict[str, Any]] = []
        self.model.denoiser.register_forward_pre_hook(
            lambda _, args, kwargs: self.given.append({**kwargs, "states": args[0] if args else None}),
            with_kwargs=True,
        )

    def draw(self, **changes: Any) -> np.ndarray:
        self.given.clear()
        return np.asarray(self.model.generate(PLAIN.model_copy(update=changes)))

    @property
    def rows(self) -> int:
        """Rows of the denoiser's last batch."""
        last = self.given[-1]
        states = last["states"] if last["states"] is not None else last["hidden_states"]
        return len(states)


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(request: pytest.FixtureRequest, tiny: Callable[[str], Path]) -> Loaded:
    return Loaded(tiny(request.param))


def test_guidance_is_a_second_pass_or_an_input(loaded: Loaded) -> None:
    loaded.draw(guidance=1)
    off = loaded.rows
    loaded.draw(guidance=3)
    assert off == 2
    assert loaded.rows == (4 if loaded.info.guided(3) else 2)
    assert loaded.info.guided(3) == (loaded.info.family in TRUE)
    assert not loaded.info.guided(1)
    if "embedded-guidance" in loaded.info.tags:
        assert float(loaded.given[-1]["guidance"][0]) == 3


def test_a_model_without_guidance_ignores_it(tmp_path: Path) -> None:
    """FLUX.1-schnell is FLUX with a transformer that has no input for guidance."""
    from diffusers import FluxTransformer2DModel

    folder = build_tiny("flux", tmp_path / "schnell")
    config = {**FluxTransformer2DModel.load_config(folder / "transformer"), "guidance_embeds": False}
    FluxTransformer2DModel.from_config(config).save_pretrained(folder / "transformer")
    schnell = Loaded(folder)
    assert "no-guidance" in schnell.info.tags
    assert schnell.info.guidance == 1
    assert np.array_equal(schnell.draw(guidance=1), schnell.draw(guidance=3))
    assert schnell.given[-1].get("guidance") is None
    assert "distilled without guidance" in str(plan_cell(folder, {"guidance": "3"}).reason)


def test_guidance_distilled_unet_is_recognized(tmp_path: Path) -> None:
    import json

    folder = build_tiny("sd", tmp_path / "lcm")
    path = folder / "unet" / "config.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text(encoding="utf-8")), "time_cond_proj_dim": 8}), encoding="utf-8"
    )
    info = resolve_model(Model(source="folder", options={"path": str(folder)})).describe()
    assert "embedded-guidance" in info.tags
    assert not info.guided(8)


def test_every_text_encoder_is_timed_by_its_role(loaded: Loaded) -> None:
    from harness.measure.clock import time_stages

    with time_stages(loaded.model.parts(), "cpu") as clock:
        loaded.draw()
    roles = {part.role for part in clock.calls()}
    names = ("text_encoder", "text_encoder_2", "text_encoder_3")
    assert roles == {*names[: ENCODERS[loaded.info.family]], "denoiser", "vae"}


def test_a_negative_prompt_steers_where_guidance_does(loaded: Loaded) -> None:
    guided, off = loaded.draw(), loaded.draw(guidance=1)
    changed = distance(loaded.draw(negatives=BLUE), loaded.draw(negatives=EMPTY))
    assert (changed > 1e-4) == (loaded.info.family in TRUE)
    assert np.array_equal(loaded.draw(guidance=1, negatives=BLUE), off)
    if loaded.info.family not in TRUE:
        assert np.array_equal(loaded.draw(negatives=BLUE), guided)


def test_a_negative_prompt_belongs_to_its_image_alone(loaded: Loaded) -> None:
    both = loaded.draw(negatives=BLUE)
    call = PLAIN.model_copy(update={"negatives": BLUE}).of([1])
    assert np.abs(np.asarray(loaded.model.generate(call))[0] - both[1]).max() < 1e-3


def test_embeddings_stand_for_negative_prompts_too(loaded: Loaded) -> None:
    plain = loaded.draw(negatives=BLUE)
    embeddings = loaded.model.encode(PLAIN.prompts, True, BLUE)
    loaded.model.hooks.append(lambda model, _, arguments: model.embedded(arguments, embeddings))
    try:
        assert np.array_equal(loaded.draw(negatives=BLUE), plain)
    finally:
        loaded.model.hooks.clear()


@pytest.mark.parametrize("caching", ["prompt-embeddings", "text-kv", "latents", "latents-nearest+calls=1+threshold=-1"])
def test_caches_keep_negative_prompts_apart(caching: str, tiny: Callable[[str], Path], cache: Path) -> None:
    made = run_cell(plan_cell(tiny("sd"), {"caching": caching}), cache)
    call = made.recipe.call().model_copy(update={"prompts": PLAIN.prompts, "keys": PLAIN.keys})
    first, second = (made.model.generate(call.model_copy(update={"negatives": texts})) for texts in (BLUE, EMPTY))
    again = made.model.generate(call.model_copy(update={"negatives": BLUE}))
    assert distance(first, second) > 1e-4
    assert distance(again, first) < 1e-6
    swapped = call.model_copy(update={"negatives": BLUE}).of([1, 0])
    assert distance(np.asarray(made.model.generate(swapped))[::-1], first) < 1e-3


def test_described_latent_is_the_starting_noise(loaded: Loaded) -> None:
    assert loaded.info.latent is not None
    channels, scale = loaded.info.latent
    count = channels * (64 // scale) * (32 // scale)
    assert loaded.model.noise((("p", 0),), 64, 32).numel() == count


def test_every_image_starts_from_a_fixed_latent(loaded: Loaded) -> None:
    assert loaded.info.latent is not None
    channels, scale = loaded.info.latent
    noise = torch.randn((channels, 32 // scale, 32 // scale), generator=torch.Generator().manual_seed(3)).numpy()
    same = ("a red circle", "a red circle")
    own = loaded.draw(prompts=same)
    loaded.model.latent = noise
    try:
        fixed = loaded.draw(prompts=same)
        twin = np.asarray(loaded.model.twin().generate(PLAIN.model_copy(update={"prompts": same})))
        with pytest.raises(UsageError, match=r"prompts\.latent"):
            loaded.draw(width=64, height=64)
    finally:
        loaded.model.latent = None
    assert np.abs(own[0] - own[1]).max() > 0.01
    assert np.abs(fixed[0] - fixed[1]).max() < 1e-3
    assert np.array_equal(twin, fixed)
    assert np.array_equal(loaded.draw(prompts=same), own)


def info_of(folder: Path) -> ModelInfo:
    return resolve_model(Model(source="folder", options={"path": str(folder)})).describe()


@pytest.mark.parametrize(
    ("settings", "shape", "words"),
    [
        ({}, (4, 8, 8), None),
        ({}, (4, 16, 16), "4×8×8"),
        ({"resolution": "64x32"}, (4, 8, 8), "4×8×16"),
        ({"resolution": "progressive+stages=32-64"}, (4, 16, 16), "resolution progressive"),
    ],
)
def test_unfit_latent_is_refused_in_the_plan(
    settings: dict[str, str], shape: tuple[int, int, int], words: str | None, tiny: Callable[[str], Path]
) -> None:
    latent = Latent(path="noise.npy", sha256="0" * 64, shape=shape)
    reason = refuse_latent(latent, plan_cell(tiny("sdxl"), settings).cell, info_of(tiny("sdxl")))
    assert reason is None if words is None else words in str(reason)


@pytest.mark.parametrize(
    ("family", "guidance", "words"),
    [("sdxl", "3", None), ("sdxl", "1", "is not guided at 1"), ("flux", "3", "as an input")],
)
def test_ineffective_negative_prompts_warn_in_the_plan(
    family: str, guidance: str, words: str | None, tiny: Callable[[str], Path]
) -> None:
    cell, info = plan_cell(tiny(family), {"guidance": guidance}).cell, info_of(tiny(family))
    found = warn_of_negatives((Prompt(id="p", text="a", negative="b"),), cell, info)
    assert [words in caution.message for caution in found if words] == ([True] if words else [])
    assert bool(found) == bool(words)
    assert not warn_of_negatives((Prompt(id="p", text="a"),), cell, info)


@pytest.mark.parametrize("family", FAMILIES)
def test_families_lack_image_to_image_as_in_diffusers(family: str, tiny: Callable[[str], Path]) -> None:
    from diffusers.pipelines.auto_pipeline import AUTO_IMAGE2IMAGE_PIPELINES_MAPPING, AUTO_TEXT2IMAGE_PIPELINES_MAPPING

    info, name = info_of(tiny(family)), find_family(Folder(tiny(family))).pipeline_class
    key = next(key for key, known in AUTO_TEXT2IMAGE_PIPELINES_MAPPING.items() if known.__name__ == name)
    assert (key in AUTO_IMAGE2IMAGE_PIPELINES_MAPPING) == ("no-image-to-image" not in info.tags)
