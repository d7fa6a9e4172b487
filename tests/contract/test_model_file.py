"""Models in one .safetensors file: the weights of the folder it was made from, and every misfit told beforehand."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.core.errors import UsageError
from harness.core.matrix import Model
from harness.core.model import ModelSource
from harness.models import resolve_model

Tiny = Callable[[str], Path]


def source(path: Path, config: Path) -> ModelSource:
    return resolve_model(Model(source="file", options={"path": str(path), "config": str(config)}))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, tiny: Tiny) -> dict[str, Path]:
    """Whole folders; the second text encoder of SDXL is wider than the first: by that they are told apart in a file."""
    from tests.tiny.build import save, sdxl

    return {"sd": tiny("sd"), "sdxl": save(lambda: sdxl(second=48), tmp_path_factory.mktemp("sdxl"))}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, folders: dict[str, Path]) -> dict[str, Path]:
    from tests.tiny.original import write_original

    root = tmp_path_factory.mktemp("files")
    return {name: write_original(folder, root / f"{name}.safetensors") for name, folder in folders.items()}


@pytest.fixture
def config(tmp_path: Path) -> Callable[[Path], Path]:
    """Return a function that copies what a folder says, without its weights."""

    def copied(folder: Path) -> Path:
        return Path(shutil.copytree(folder, tmp_path / "config", ignore=shutil.ignore_patterns("*.safetensors")))

    return copied


@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_file_loads_the_same_weights_as_the_folder(
    family: str, files: dict[str, Path], folders: dict[str, Path], config: Callable[[Path], Path]
) -> None:
    ours = source(files[family], config(folders[family]))
    theirs = resolve_model(Model(source="folder", options={"path": str(folders[family])}))
    facts = {"title", "digest"}
    assert ours.describe().model_dump(exclude=facts) == theirs.describe().model_dump(exclude=facts)
    loaded, expected = ours.load("cpu", {}), theirs.load("cpu", {})
    parts = {"unet", "vae", *expected.text_encoders}
    for part in parts:
        found, meant = (getattr(model.pipeline, part).state_dict() for model in (loaded, expected))
        assert set(found) == set(meant)
        assert not [name for name, tensor in meant.items() if not (found[name] == tensor).all()], part


def test_the_precision_reaches_the_parts_of_a_file(files: dict[str, Path], folders: dict[str, Path]) -> None:
    model = source(files["sd"], folders["sd"]).load("cpu", {"dtype": "bfloat16"})
    assert {str(tensor.dtype) for tensor in model.denoiser.parameters()} == {"torch.bfloat16"}


def test_digest_follows_file_and_configurations(
    files: dict[str, Path], folders: dict[str, Path], config: Callable[[Path], Path], tmp_path: Path
) -> None:
    said = config(folders["sd"])
    file = Path(shutil.copy(files["sd"], tmp_path / "x.safetensors"))
    before = source(file, said).describe().digest
    file.write_bytes(file.read_bytes()[:-1] + b"\x7f")
    changed = source(file, said).describe().digest
    (said / "scheduler" / "scheduler_config.json").write_text('{"_class_name": "DDIMScheduler"}', encoding="utf-8")
    assert len({before, changed, source(file, said).describe().digest}) == 3


def refused(path: Path, config: Path) -> UsageError:
    with pytest.raises(UsageError) as caught:
        source(path, config).describe()
    assert str(path) in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        ("unet", {"cross_attention_dim": 99}, "cross_attention_dim of the unet is 32 in the file, 99"),
        ("unet", {"block_out_channels": [99, 64]}, "block_out_channels of the unet is 32 in the file, 99"),
        ("vae", {"latent_channels": 99}, "latent_channels of the vae is 4 in the file, 99"),
        ("text_encoder", {"hidden_size": 99}, "hidden_size of the text_encoder is 32 in the file, 99"),
    ],
)
def test_file_of_other_configurations_is_refused(
    part: str,
    change: dict[str, Any],
    said: str,
    files: dict[str, Path],
    folders: dict[str, Path],
    config: Callable[[Path], Path],
) -> None:
    folder = config(folders["sd"])
    written = folder / part / "config.json"
    written.write_text(json.dumps(json.loads(written.read_text(encoding="utf-8")) | change), encoding="utf-8")
    assert said in refused(files["sd"], folder).what


def test_a_file_without_the_model_is_refused(
    files: dict[str, Path], folders: dict[str, Path], config: Callable[[Path], Path], tmp_path: Path
) -> None:
    lora = folders["sd"] / "unet" / "diffusion_pytorch_model.safetensors"
    assert "no denoiser of the sd family" in refused(lora, folders["sd"]).what
    assert "No such file" in refused(tmp_path / "none.safetensors", folders["sd"]).what
    for content in (b"", b"PK\x03\x04 a pickle", b"\x04\x00\x00\x00\x00\x00\x00\x00null"):
        (tmp_path / "x.safetensors").write_bytes(content)
        assert "not a safetensors file" in refused(tmp_path / "x.safetensors", folders["sd"]).what


def test_parts_that_are_nowhere_are_named(
    files: dict[str, Path], folders: dict[str, Path], config: Callable[[Path], Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    tensors = {
        name: t for name, t in load_file(files["sdxl"]).items() if not name.startswith("conditioner.embedders.1")
    }
    save_file(tensors, tmp_path / "x.safetensors")
    assert "text_encoder_2/model.safetensors" in refused(tmp_path / "x.safetensors", config(folders["sdxl"])).what
    assert source(tmp_path / "x.safetensors", folders["sdxl"]).describe().family == "sdxl"


def test_a_family_without_such_files_is_refused(files: dict[str, Path], tiny: Tiny) -> None:
    assert "pixart model cannot be loaded from one file" in refused(files["sd"], tiny("pixart")).what


@pytest.mark.parametrize(
    ("family", "names", "said"),
    [
        (
            "flux",
            {"double_blocks.0.x": [1], "img_in.weight": [8, 64]},
            ["num_layers", "in_channels", "guidance_embeds"],
        ),
        ("sd3", {"model.diffusion_model.joint_blocks.7.x": [1]}, ["num_layers of the transformer is 1 in the file, 3"]),
    ],
)
def test_transformers_are_compared_by_their_blocks(
    family: str, names: dict[str, list[int]], said: list[str], tiny: Tiny, tmp_path: Path
) -> None:
    header = json.dumps({name: {"dtype": "F8_E4M3", "shape": shape} for name, shape in names.items()}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    words = refused(path, tiny(family)).what
    assert all(word in words for word in said), words


def load_shapes(parts: dict[str, list[int]], path: Path) -> Path:
    """Write a file that says it holds tensors of these shapes."""
    header = json.dumps({name: {"dtype": "F16", "shape": shape} for name, shape in parts.items()}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    return path


UNET, ENCODERS = "model.diffusion_model.", "conditioner.embedders."
VAE = {"first_stage_model.decoder.conv_in.weight": [512, 4, 3, 3]}
SD15 = {
    f"{UNET}input_blocks.0.0.weight": [320, 4, 3, 3],
    f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": [320, 768],
    "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": [49408, 768],
    **VAE,
}
SDXL = {
    f"{UNET}input_blocks.0.0.weight": [320, 4, 3, 3],
    f"{UNET}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": [640, 2048],
    f"{UNET}label_emb.0.0.weight": [1280, 2816],
    f"{ENCODERS}0.transformer.text_model.embeddings.token_embedding.weight": [49408, 768],
    f"{ENCODERS}1.model.token_embedding.weight": [49408, 1280],
    **VAE,
}


@pytest.mark.parametrize(("tensors", "name", "family"), [(SD15, "sd15", "sd"), (SDXL, "sdxl-base", "sdxl")])
def test_known_lone_file_needs_no_configurations(
    tensors: dict[str, list[int]], name: str, family: str, tmp_path: Path
) -> None:
    path = load_shapes(tensors, tmp_path / "x.safetensors")
    info = resolve_model(Model(source="file", options={"path": str(path)})).describe()
    assert info.family == family
    assert info.pins == {"config": name}
    assert f"x.safetensors has the shapes of {name}" in info.notes[0]
    named = resolve_model(Model(source="file", options={"path": str(path), "config": name})).describe()
    assert named.digest == info.digest
    assert not named.notes


def test_unknown_lone_file_is_refused(tmp_path: Path) -> None:
    inpainting = SDXL | {f"{UNET}input_blocks.0.0.weight": [320, 9, 3, 3]}
    path = load_shapes(inpainting, tmp_path / "x.safetensors")
    with pytest.raises(UsageError, match="fits none of the configurations") as closest:
        resolve_model(Model(source="file", options={"path": str(path)})).describe()
    assert "sdxl-base: in_channels of the unet is 9 in the file, 4 in the configuration" in closest.value.what
    with pytest.raises(UsageError, match="in_channels of the unet is 9 in the file, 4"):
        resolve_model(Model(source="file", options={"path": str(path), "config": "sdxl-base"})).describe()
    with pytest.raises(UsageError, match="sdxl-bas") as caught:
        resolve_model(Model(source="file", options={"path": str(path), "config": "sdxl-bas"})).describe()
    assert 'Did you mean "sdxl-base"?' in caught.value.fix


def test_a_lone_file_is_given_tokenizers(
    files: dict[str, Path],
    folders: dict[str, Path],
    config: Callable[[Path], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from harness.models import _original, file
    from tests.tiny.tokenizers import clip

    said = config(folders["sdxl"])
    for name in ("tokenizer", "tokenizer_2"):
        shutil.rmtree(said / name)
    asked = []
    monkeypatch.setattr(_original, "find_configuration", lambda name: said)
    monkeypatch.setattr(file, "make_clip_tokenizer", lambda name: asked.append(name) or clip())
    model = resolve_model(Model(source="file", options={"path": str(files["sdxl"])}))
    assert model.describe().family == "sdxl"
    assert model.verify() == ()
    theirs = resolve_model(Model(source="folder", options={"path": str(folders["sdxl"])})).load("cpu", {})
    ours = model.load("cpu", {})
    assert asked == ["tokenizer", "tokenizer_2"]
    prompt = ("a red circle",)
    found = ours.encode(prompt, True)
    for name, tensor in theirs.encode(prompt, True).items():
        # The two copies of the weights are aligned differently, which changes the last bits on some processors.
        assert np.allclose(found[name], tensor, rtol=1e-4, atol=1e-5), name


def test_tokenizers_equal_the_published_ones() -> None:
    """Ids of huggingface/diffusers issue 4153: the second pads with "!" and takes every "!" for padding."""
    from harness.models._tokenizers import make_clip_tokenizer

    first, second = make_clip_tokenizer("tokenizer"), make_clip_tokenizer("tokenizer_2")
    assert first("! !! !!!").input_ids == [49406, 256, 748, 995, 49407]
    assert second("! !! !!!").input_ids == [49406, *[0] * 6, 49407]
    astronaut = "a photo of an astronaut riding a horse on mars"
    ids = [49406, 320, 1125, 539, 550, 18376, 6765, 320, 4558, 525, 7496, 49407]
    assert first(astronaut, padding="max_length").input_ids == ids + [49407] * 65
    assert second(astronaut, padding="max_length").input_ids == ids + [0] * 65
