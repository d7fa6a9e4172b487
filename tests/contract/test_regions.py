"""Values that work of their own inside a call say so by name, to Nsight and in traces."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.core.trace import recording
from tests.builders.cell_on_model import BUNDLED, plan_cell, run_cell


@contextmanager
def heard(names: list[str]) -> Iterator[None]:
    @contextmanager
    def record(name: str) -> Iterator[None]:
        names.append(name)
        yield

    with recording(record):
        yield


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"resolution": "progressive+stages=16-32"}, {"cascade stage 16x16", "cascade stage 32x32"}),
        ({"caching": "prompt-embeddings"}, {"prompt cache look-up"}),
        ({"caching": "latents+calls=1"}, {"latent cache look-up", "step from stored predictions"}),
        ({"caching": "latents-nearest+calls=1+threshold=-1"}, {"neighbour look-up", "step from stored predictions"}),
        ({"caching": "deepcache+interval=2"}, {"inner blocks asked", "inner blocks executed"}),
        ({"memory": "vae-slicing"}, {"decode in slices"}),
    ],
    ids=lambda shown: " ".join(shown.values()) if isinstance(shown, dict) else "",
)
def test_what_a_value_does_has_a_name(
    settings: dict[str, str], names: set[str], tiny: Callable[[str], Path], cache: Path
) -> None:
    folder = BUNDLED if "latents" in settings.get("caching", "") else tiny("sd")
    planned = plan_cell(folder, settings)
    assert planned.reason is None
    found: list[str] = []
    with heard(found):
        run_cell(planned, cache)
    assert {f"harness.region:{name}" for name in names} <= set(found)


def test_a_skipped_block_is_asked_and_not_executed(tiny: Callable[[str], Path], cache: Path) -> None:
    found: list[str] = []
    with heard(found):
        run_cell(plan_cell(tiny("sd"), {"caching": "deepcache+interval=2"}), cache)
    asked, executed = (found.count(f"harness.region:inner blocks {word}") for word in ("asked", "executed"))
    assert asked > executed > 0
