"""One contract for every model source."""

import numpy as np
import pytest

from harness.core.catalog import list_names
from harness.core.matrix import Model
from harness.core.model import Call
from harness.measure.stages import stage_clock
from harness.models import resolve_model, shapes

SOURCES = list_names("harness.models")


def call(prompts: list[str], *, steps: int = 3, side: int) -> Call:
    keys = tuple((f"p{number}", 0) for number in range(len(prompts)))
    return Call(prompts=tuple(prompts), keys=keys, steps=steps, guidance=2.0, width=side, height=side)


@pytest.fixture(scope="module", params=SOURCES)
def source(request: pytest.FixtureRequest) -> str:
    if request.param == "bundled" and not shapes.PIPELINE.exists():
        pytest.skip("the bundled weights are not there")
    return str(request.param)


def test_a_source_describes_itself_without_loading(source: str) -> None:
    info = resolve_model(Model(source=source)).describe()
    assert info.title
    assert info.digest
    assert info.width % info.size_multiple == 0


def test_images_are_finite_deterministic_and_of_the_asked_size(source: str) -> None:
    origin = resolve_model(Model(source=source))
    side = origin.describe().width
    model = origin.load("cpu", {})
    prompts = ["a small red circle on a white background", "a large blue ring on a black background"]
    first = np.asarray(model.generate(call(prompts, side=side)))
    assert first.shape == (2, side, side, 3)
    assert np.isfinite(first).all()
    assert first.min() >= 0
    assert first.max() <= 1
    assert np.array_equal(first, np.asarray(model.generate(call(prompts, side=side))))


def test_an_image_does_not_depend_on_its_neighbours_in_the_batch(source: str) -> None:
    """QUALITY.md §1: batch size changes an image by float noise at most."""
    origin = resolve_model(Model(source=source))
    side = origin.describe().width
    model = origin.load("cpu", {})
    prompts = [
        f"a small {colour} circle on a white background" for colour in ("red", "green", "blue", "yellow", "pink")
    ]
    together = np.asarray(model.generate(call(prompts, steps=6, side=side)))
    for place, prompt in enumerate(prompts):
        one = call([prompt], steps=6, side=side).model_copy(update={"keys": ((f"p{place}", 0),)})
        assert np.abs(np.asarray(model.generate(one))[0] - together[place]).max() < 1e-3


def test_another_seed_is_another_image(source: str) -> None:
    origin = resolve_model(Model(source=source))
    side = origin.describe().width
    model = origin.load("cpu", {})
    first = call(["a small red circle on a white background"], side=side)
    other = first.model_copy(update={"keys": (("p0", 1),)})
    assert np.abs(np.asarray(model.generate(first)) - np.asarray(model.generate(other))).max() > 0.05


def test_the_parts_are_timed_and_the_denoiser_counted(source: str) -> None:
    origin = resolve_model(Model(source=source))
    model = origin.load("cpu", {})
    with stage_clock(model.parts(), "cpu") as clock:
        model.generate(call(["a small red circle on a white background"], steps=5, side=origin.describe().width))
    roles = [part.role for part in clock.calls()]
    assert roles.count("denoiser") == 5
    assert roles.count("vae") == 1
    assert any(role.startswith("text_encoder") for role in roles)
    assert sum(model.weights_bytes().values()) > 0
