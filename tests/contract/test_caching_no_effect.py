"""A cache set so that it saves nothing never completes: the matrix or the plan refuses it, or the cell fails."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.axes import list_value_names, read_entry
from harness.axes.caching import _proxy, _store
from harness.core.errors import NoEffect, UsageError
from harness.execution.task import describe_exception
from harness.models import shapes
from tests.builders.cases import slow_but
from tests.builders.cell_on_model import BUNDLED, plan_cell, run_cell
from tests.tiny import FAMILIES

MODELS = (*FAMILIES, "bundled") if shapes.PIPELINE.exists() else FAMILIES
NOWHERE: tuple[str, ...] = ()

SENSELESS = (
    "deepcache+interval=1", "deepcache+depth=0", "first-block+threshold=0", "taylorseer+interval=1",
    "taylorseer+first=0", "magcache+threshold=0", "magcache+longest=0", "magcache+first=1", "faster-cache+interval=1",
    "faster-cache+after=0", "pyramid-attention+interval=1", "pyramid-attention+after=0", "latents+calls=0",
    "latents-nearest+calls=0", "latents-nearest+threshold=2", "latents-nearest+donors=0",
)  # fmt: skip
"""Options that could not save anything on any model."""

IDLE = {
    "deepcache+depth=99": NOWHERE,
    "first-block+threshold=1e-9": ("flux",),
    "taylorseer+first=4": NOWHERE,
    "magcache+threshold=1e-9": ("flux",),
    "magcache+first=0.99": ("flux",),
    "faster-cache+after=1": ("flux",),
    "pyramid-attention+after=1": ("flux",),
    "pyramid-attention+until=999": ("flux",),
    "latents+calls=4": NOWHERE,
    "latents-nearest+calls=4": NOWHERE,
    "latents-nearest+calls=1+threshold=1": MODELS,
}
"""Options that may save nothing in four steps, and the models where only the calls tell."""

FORGETFUL = ("prompt-embeddings", "latents", "latents-nearest+calls=2+threshold=-1")
"""Values that save what a store remembers."""


def fails_without_effect(spelling: str, model: Path, cache: Path) -> None:
    """Run a cell that the plan calls ready, and see it fail as one that did nothing, with advice."""
    with pytest.raises(NoEffect) as caught:
        run_cell(plan_cell(model, {"caching": spelling}), cache)
    failed = describe_exception(caught.value, "repeats", "")
    assert failed.kind == "no-effect"
    assert spelling.partition("+")[0] in failed.message
    assert failed.hint


def test_every_cache_is_tried_here() -> None:
    tried = {spelling.partition("+")[0] for spelling in (*SENSELESS, *IDLE, *FORGETFUL)}
    assert tried | {"none", "text-kv"} == set(list_value_names("caching"))  # text-kv has no options, see below


@pytest.mark.parametrize("spelling", SENSELESS)
def test_options_that_save_nothing_are_no_options(spelling: str) -> None:
    with pytest.raises(UsageError, match=spelling.partition("+")[0]):
        read_entry("caching", spelling)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("spelling", IDLE)
def test_a_cache_that_skipped_nothing_fails(
    spelling: str, model: str, tiny: Callable[[str], Path], cache: Path
) -> None:
    folder = BUNDLED if model == "bundled" else tiny(model)
    reason = plan_cell(folder, {"caching": spelling}).reason
    if model in IDLE[spelling]:
        assert reason is None
        fails_without_effect(spelling, folder, cache)
    else:
        assert reason is not None
        assert spelling.partition("+")[0] in reason


@pytest.mark.parametrize("model", slow_but(("sd", "flux"), MODELS))
@pytest.mark.parametrize("spelling", FORGETFUL)
def test_a_cache_that_forgets_fails(
    spelling: str, model: str, tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_store, "LIMIT_BYTES", 0)
    monkeypatch.setattr(_proxy, "IN_MEMORY", 0)
    fails_without_effect(spelling, BUNDLED if model == "bundled" else tiny(model), tmp_path)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "name", [name for name in list_value_names("caching") if name not in ("none", "prompt-embeddings")]
)
def test_one_step_has_nothing_to_reuse(name: str, model: str, tiny: Callable[[str], Path]) -> None:
    reason = plan_cell(BUNDLED if model == "bundled" else tiny(model), {"caching": name, "steps": "1"}).reason
    assert reason is not None
    assert name in reason
