"""Images that begin as another prompt's: the right donor, its steps exactly, and no dependence on company or order."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.axes import read_entry, resolve_setting
from harness.axes.caching._donors import Donors, Neighbour
from harness.core.axis import Setup
from harness.core.errors import NoEffect
from harness.core.model import Call, TextToImage
from harness.models.folder import LocalFolder
from tests.builders.cell_on_model import FLOAT, distance, plan_cell

TEXTS = ("a red circle", "A  red circle", "a blue ring on white", "a blue ring on black", "something else entirely")
ALL = Call(
    prompts=TEXTS, keys=tuple((f"p{n}", 3) for n in range(5)), steps=4, guidance=2, width=32, height=32
)  # fmt: skip
"""What batches of other sizes differ by."""


def pick(*places: int) -> Call:
    prompts, keys = tuple(TEXTS[place] for place in places), tuple(ALL.keys[place] for place in places)
    return ALL.model_copy(update={"prompts": prompts, "keys": keys})


def applied(folder: Path, cache: Path, options: str = "calls=2", solver: str = "default") -> tuple[TextToImage, Any]:
    """Return a tiny model with the value applied for all prompts, and the effect."""
    model, setup = LocalFolder(path=folder).load("cpu", {}), Setup(ALL, 2, cache)
    resolve_setting(read_entry("scheduler", solver)).apply(model, setup)
    return model, resolve_setting(read_entry("caching", f"latents-nearest+{options}")).apply(model, setup)


def plain(folder: Path, call: Call, solver: str = "default") -> Any:
    model = LocalFolder(path=folder).load("cpu", {})
    resolve_setting(read_entry("scheduler", solver)).apply(model, Setup(ALL, 1, folder))
    return model.generate(call)


def test_a_donor_is_the_nearest_prompt_of_another_text(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    model = LocalFolder(path=tiny("sdxl")).load("cpu", {})
    donors = Donors(
        model, Setup(ALL, 1, tmp_path), 2, {key[0]: text for key, text in zip(ALL.keys, TEXTS, strict=True)}
    )
    rows = [model.encode((text,), True) for text in TEXTS]
    vectors = [np.asarray(row["pooled_prompt_embeds"][0]) for row in rows]
    units = np.stack([vector / np.linalg.norm(vector) for vector in vectors])
    for place, (text, row) in enumerate(zip(TEXTS, rows, strict=True)):
        others = [other for other in range(5) if other != place and {other, place} != {0, 1}]
        cosines = {f"p{other}": float(units[other] @ units[place]) for other in others}
        near = donors.find_nearest(text, row)
        assert near is not None
        assert near.similarity == pytest.approx(max(cosines.values()), abs=1e-5)
        assert cosines[near.donor] == pytest.approx(near.similarity, abs=1e-5)  # equal ones may both be the nearest


@pytest.mark.parametrize(("family", "solver"), [("sd", "dpmpp-2m"), ("sdxl", "euler-ancestral"), ("flux", "default")])
def test_a_donors_steps_are_taken_exactly(
    family: str, solver: str, tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were a prompt its own donor, its image would be the plain one, whatever the solver remembers or draws."""
    own = {text: key[0] for key, text in zip(ALL.keys, TEXTS, strict=True)}
    monkeypatch.setattr(Donors, "find_nearest", lambda self, prompt, row: Neighbour(own[prompt], 1.0))
    model, _ = applied(tiny(family), tmp_path, "calls=3", solver)
    assert distance(model.generate(pick(0, 2)), plain(tiny(family), pick(0, 2), solver)) < FLOAT


def test_image_depends_on_no_earlier_or_other_request(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """Some prompts of the batch have a neighbour and some have none."""
    model, effect = applied(tiny("sd"), tmp_path, "calls=2+donors=3+threshold=0")
    alike = sorted(
        effect.neighbours.donors.find_nearest(text, model.encode((text,), False)).similarity for text in TEXTS
    )
    options = f"calls=2+donors=3+threshold={(alike[0] + alike[-1]) / 2}"
    model, effect = applied(tiny("sd"), tmp_path, options)
    together = model.generate(ALL)
    assert 0 < len(effect.neighbours.survey(model, TEXTS).donors) < 5
    again, _ = applied(tiny("sd"), tmp_path / "another", options)
    for place in (4, 2, 0, 3, 1):
        assert distance(again.twin().generate(pick(place))[0], together[place]) < FLOAT
    assert distance(model.generate(pick(3, 0)), together[[3, 0]]) < FLOAT
    plainly = plain(tiny("sd"), ALL)
    moved = [distance(together[place], plainly[place]) > 1e-3 for place in range(5)]
    led = [effect.neighbours.survey(model, (text,)).donors != () for text in TEXTS]
    assert moved == led  # a prompt without a neighbour is drawn as ever, from its own noise


def test_donors_are_made_once_and_by_the_first_cell(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    applied(tiny("sd"), tmp_path)
    assert len(list((tmp_path / "donors").rglob("*.safetensors"))) == len(TEXTS)
    model = LocalFolder(path=tiny("sd")).load("cpu", {})
    model.denoiser.register_forward_pre_hook(lambda *_: pytest.fail("a donor was made again"))
    assert resolve_setting(read_entry("caching", "latents-nearest+calls=2")).apply(model, Setup(ALL, 2, tmp_path))


def test_the_cell_tells_how_near_its_prompts_are(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    model, effect = applied(tiny("sd"), tmp_path, "calls=3+threshold=-1", "ddim")
    effect.start(model)
    model.generate(pick(0))
    shown = effect.report(model, 1)
    assert shown.summary.startswith("approximate: 5 of 5 prompts have a neighbour")
    assert (shown.figures["denoiser_calls"], shown.figures["denoiser_calls_skipped"]) == (1, 3)
    assert shown.figures["similarity_min"] <= shown.figures["similarity_median"] <= 1
    assert set(shown.figures["donors"].split(", ")) <= {key[0] for key in ALL.keys}


def test_prompts_too_far_apart_fail_as_without_effect(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    model, effect = applied(tiny("sd"), tmp_path, "calls=2+threshold=1")
    effect.start(model)
    assert distance(model.generate(pick(4)), plain(tiny("sd"), pick(4))) < FLOAT
    with pytest.raises(NoEffect, match="0 of 5 prompts have a neighbour") as caught:
        effect.report(model, 1)
    lower = re.search(r"set threshold=([-.\d]+) or less", caught.value.fix)
    assert lower is not None
    model, effect = applied(tiny("sd"), tmp_path, f"calls=2+threshold={lower[1]}")
    effect.start(model)
    model.generate(pick(4))
    assert effect.report(model, 1).figures["denoiser_calls_skipped"] == 2  # the advice is good
    alone = Setup(pick(0, 1), 1, tmp_path)
    with pytest.raises(NoEffect, match="a single prompt"):
        resolve_setting(read_entry("caching", "latents-nearest")).apply(model, alone)


def test_what_cannot_be_is_refused_in_the_plan(tiny: Callable[[str], Path]) -> None:
    cascade = {"caching": "latents-nearest+calls=2", "resolution": "progressive+stages=16-32"}
    assert "exclude each other (cascade)" in str(plan_cell(tiny("sd"), cascade).reason)
    assert "not more than calls=5" in str(plan_cell(tiny("sd"), {"caching": "latents-nearest"}).reason)
