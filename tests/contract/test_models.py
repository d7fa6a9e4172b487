"""One contract for every model: every source that needs no path, and every family in a local folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.core.catalog import list_names, resolve
from harness.core.errors import UsageError
from harness.core.matrix import Model
from harness.core.model import Call, ModelSource, TextToImage
from harness.measure.clock import time_stages
from harness.models import resolve_model, shapes
from tests.tiny import FAMILIES

SOURCES = {name: resolve("harness.models", name, ModelSource) for name in list_names("harness.models")}
ALONE = [n for n, source in SOURCES.items() if not any(f.is_required() for f in source.model_fields.values())]
WHITE = "a small red circle on a white background"
COLOURS = ("red", "green", "blue", "yellow", "pink")


def call(prompts: list[str], *, steps: int = 3, side: int) -> Call:
    keys = tuple((f"p{number}", 0) for number in range(len(prompts)))
    return Call(prompts=tuple(prompts), keys=keys, steps=steps, guidance=2.0, width=side, height=side)


@pytest.fixture(scope="module", params=(*ALONE, *FAMILIES))
def source(request: pytest.FixtureRequest, tiny: Callable[[str], Path]) -> ModelSource:
    if request.param == "bundled" and not shapes.PIPELINE.exists():
        pytest.skip("the bundled weights are not there")
    if request.param in FAMILIES:
        return resolve_model(Model(source="folder", options={"path": str(tiny(request.param))}))
    return resolve_model(Model(source=request.param))


@pytest.fixture(scope="module")
def model(source: ModelSource) -> TextToImage:
    return source.load("cpu", {})


@pytest.fixture(scope="module")
def side(source: ModelSource) -> int:
    return min(64, source.describe().width)


def test_a_source_describes_itself_without_loading(source: ModelSource) -> None:
    info = source.describe()
    assert info.title
    assert info.digest
    assert info.width % info.size_multiple == 0
    assert info.family in info.tags or info.family == "fake"


def test_images_are_finite_repeatable_and_sized(model: TextToImage, side: int) -> None:
    prompts = [WHITE, "a large blue ring on a black background"]
    first = np.asarray(model.generate(call(prompts, side=side)))
    assert first.shape == (2, side, side, 3)
    assert np.isfinite(first).all()
    assert first.min() >= 0
    assert first.max() <= 1
    assert np.array_equal(first, np.asarray(model.generate(call(prompts, side=side))))
    assert np.array_equal(first, np.asarray(model.twin().generate(call(prompts, side=side))))


def test_twin_shares_weights_but_no_state(model: TextToImage) -> None:
    """A tokenizer that two threads share pads one's prompt to the other's length, now and then."""
    twin = model.twin()
    if model.pipeline is None:
        return
    assert twin.denoiser is model.denoiser
    for name, part in model.pipeline.components.items():
        if part is not None and (name == "scheduler" or name.startswith("tokenizer")):
            assert getattr(twin.pipeline, name) is not part
        if part is not None and name.startswith("tokenizer"):
            own = getattr(twin.pipeline, name)
            own(WHITE, padding="max_length", max_length=16)
            part(WHITE, padding="longest")
            assert own.backend_tokenizer.padding["length"] == 16


def test_image_does_not_depend_on_its_batch(model: TextToImage, side: int) -> None:
    """QUALITY.md §1: batch size changes an image by float noise at most."""
    prompts = [f"a small {colour} circle on a white background" for colour in COLOURS]
    together = np.asarray(model.generate(call(prompts, steps=6, side=side)))
    for place, prompt in enumerate(prompts):
        one = call([prompt], steps=6, side=side).model_copy(update={"keys": ((f"p{place}", 0),)})
        assert np.abs(np.asarray(model.generate(one))[0] - together[place]).max() < 1e-3


def test_another_seed_is_another_image(model: TextToImage, side: int) -> None:
    first = call([WHITE], side=side)
    other = first.model_copy(update={"keys": (("p0", 1),)})
    assert np.abs(np.asarray(model.generate(first)) - np.asarray(model.generate(other))).max() > 0.05


def test_the_parts_are_timed_and_the_denoiser_counted(model: TextToImage, side: int) -> None:
    with time_stages(model.parts(), "cpu") as clock:
        model.generate(call([WHITE], steps=5, side=side))
    roles = [part.role for part in clock.calls()]
    # PNDM, the scheduler of Stable Diffusion 1.x, makes one call more than it has steps.
    assert roles.count("denoiser") in (5, 6)
    assert roles.count("vae") == 1
    assert any(role.startswith("text_encoder") for role in roles)
    assert sum(model.weights_bytes().values()) > 0


@pytest.fixture(params=FAMILIES)
def family_model(request: pytest.FixtureRequest, tiny: Callable[[str], Path]) -> Any:
    return resolve_model(Model(source="folder", options={"path": str(tiny(request.param))})).load("cpu", {})


def test_roles_are_found_whatever_the_family(family_model: Any) -> None:
    assert family_model.denoiser is family_model.parts()["denoiser"]
    assert family_model.text_encoders
    replaced = type(family_model.denoiser).from_config(family_model.denoiser.config)
    family_model.denoiser = replaced
    assert family_model.parts()["denoiser"] is replaced


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_embeddings_stand_for_prompts(family_model: Any, guidance: float) -> None:
    """The text encoders are not called, and the images are the same to the bit."""
    asked = call([WHITE, "a ring"], side=32).model_copy(update={"guidance": guidance})
    plain = np.asarray(family_model.generate(asked))
    embeddings = family_model.encode(asked.prompts, guidance > 1)
    assert all(len(tensor) == 2 for tensor in embeddings.values())
    family_model.hooks.append(lambda model, _, arguments: model.embedded(arguments, embeddings))
    with time_stages(family_model.parts(), "cpu") as clock:
        embedded = np.asarray(family_model.twin().generate(asked))
    assert not [part for part in clock.calls() if part.role.startswith("text_encoder")]
    assert np.array_equal(plain, embedded)


def test_noise_depends_on_its_key_alone(family_model: Any) -> None:
    both = family_model.noise((("p", 0), ("q", 1)), 32, 32)
    alone = family_model.noise((("q", 1),), 32, 32)
    assert np.array_equal(both[1], alone[0])
    assert abs(float(both.std()) - 1) < 0.1


def test_image_to_image_works_or_is_refused(family_model: Any) -> None:
    asked = call([WHITE], steps=4, side=32)
    first = family_model.generate(asked)
    larger = asked.model_copy(update={"width": 64, "height": 64})
    if family_model.image_pipeline_class is None:
        with pytest.raises(UsageError, match="image-to-image"):
            family_model.image_to_image(larger, first, 0.5)
        return
    with time_stages(family_model.parts(), "cpu") as clock:
        again = np.asarray(family_model.image_to_image(larger, first, 0.5))
    assert again.shape == (1, 64, 64, 3)
    assert np.isfinite(again).all()
    assert [part.role for part in clock.calls()].count("denoiser") in (2, 3)


def test_the_denoiser_is_loaded_in_the_asked_precision(tiny: Callable[[str], Path]) -> None:
    source = resolve_model(Model(source="folder", options={"path": str(tiny("sdxl"))}))
    model = source.load("cpu", {"dtype": "bfloat16"})
    assert {str(tensor.dtype) for tensor in model.denoiser.parameters()} == {"torch.bfloat16"}
    full = source.load("cpu", {})
    assert model.weights_bytes()["unet"] == full.weights_bytes()["unet"] / 2


def test_the_digest_of_a_folder_follows_its_files(tmp_path: Path) -> None:
    from tests.tiny import build_tiny

    source = resolve_model(Model(source="folder", options={"path": str(build_tiny("pixart", tmp_path / "a"))}))
    before = source.describe().digest
    same = resolve_model(Model(source="folder", options={"path": str(build_tiny("pixart", tmp_path / "b"))}))
    assert same.describe().digest == before
    weights = next((tmp_path / "a" / "transformer").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    assert source.describe().digest != before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"_class_name": "KandinskyPipeline"}', "KandinskyPipeline"),
    ],
)
def test_a_folder_that_is_no_pipeline_is_a_plain_error(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "model_index.json").write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=words) as caught:
        resolve_model(Model(source="folder", options={"path": str(tmp_path)})).describe()
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("options", [{}, {"path": "x", "nonsense": 1}])
def test_options_of_a_source_are_checked_in_the_matrix(options: dict[str, Any]) -> None:
    from harness.core.errors import MatrixError
    from harness.matrix import parse_matrix

    lines = [f'{key} = "{value}"' for key, value in options.items()]
    text = "\n".join(['name = "m"', "[axes]", "steps = [2]", "[model]", 'source = "folder"', *lines])
    with pytest.raises(MatrixError, match=r"model\.(path|nonsense)"):
        parse_matrix(text)
