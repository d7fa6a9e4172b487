"""Which files of a repository are used, by the names that published repositories have."""

import json
from pathlib import Path

import pytest

from harness.core.errors import UsageError
from harness.models._files import WantedFiles, choose_files, list_missing_files

SDXL = {
    "_class_name": "StableDiffusionXLPipeline",
    "force_zeros_for_empty_prompt": True,
    "image_encoder": [None, None],
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
}
LISTING = (
    ".gitattributes", "README.md", "model_index.json", "sd_xl_base_1.0.safetensors", "01.png",
    "scheduler/scheduler_config.json", "text_encoder/config.json", "text_encoder/model.safetensors",
    "text_encoder/model.fp16.safetensors", "text_encoder/flax_model.msgpack", "text_encoder/openvino_model.bin",
    "tokenizer/vocab.json", "tokenizer/merges.txt", "tokenizer/tokenizer_config.json",
    "unet/config.json", "unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.bin", "unet/model.onnx", "vae_1_0/diffusion_pytorch_model.safetensors",
)  # fmt: skip
ALWAYS = {
    "model_index.json", "scheduler/scheduler_config.json", "text_encoder/config.json", "unet/config.json",
    "tokenizer/vocab.json", "tokenizer/merges.txt", "tokenizer/tokenizer_config.json",
}  # fmt: skip
T5 = {"text_encoder_3": ["transformers", "T5EncoderModel"]}
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
HALF = ("model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors")
T5_LISTING = [
    f"text_encoder_3/{name}"
    for name in ("config.json", *SHARDS, "model.safetensors.index.json", *HALF, "model.safetensors.index.fp16.json")
]


def test_one_weight_set_and_configurations_are_chosen() -> None:
    weights = {"text_encoder/model.safetensors", "unet/diffusion_pytorch_model.safetensors"}
    assert set(choose_files(LISTING, WantedFiles(SDXL))) == ALWAYS | weights
    half = {"text_encoder/model.fp16.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors"}
    assert set(choose_files(LISTING, WantedFiles(SDXL, "fp16"))) == ALWAYS | half


def test_component_without_variant_gives_plain_weights() -> None:
    listing = [name for name in LISTING if name != "text_encoder/model.fp16.safetensors"]
    chosen = set(choose_files(listing, WantedFiles(SDXL, "fp16")))
    assert "text_encoder/model.safetensors" in chosen
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in chosen


def test_an_unused_component_is_left_out() -> None:
    assert not [name for name in choose_files(LISTING, WantedFiles(SDXL, "", {"unet"})) if name.startswith("unet")]


def test_shards_come_with_the_index_of_their_variant() -> None:
    plain = {f"text_encoder_3/{name}" for name in ("config.json", "model.safetensors.index.json", *SHARDS)}
    assert set(choose_files(T5_LISTING, WantedFiles(T5))) == {"model_index.json", *plain}
    half = {f"text_encoder_3/{name}" for name in ("config.json", "model.safetensors.index.fp16.json", *HALF)}
    assert set(choose_files(T5_LISTING, WantedFiles(T5, "fp16"))) == {"model_index.json", *half}


def test_pickles_and_unknown_variants_are_refused() -> None:
    listing = [name for name in LISTING if not name.startswith("unet/diffusion_pytorch_model.")]
    with pytest.raises(UsageError, match="unet has no safetensors"):
        choose_files([*listing, "unet/diffusion_pytorch_model.bin"], WantedFiles(SDXL))
    with pytest.raises(UsageError, match='variant "fp8"') as caught:
        choose_files(LISTING, WantedFiles(SDXL, "fp8"))
    assert caught.value.fix == "It has: fp16."


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shards = HALF if "fp16" in name else SHARDS
        path.write_text(
            json.dumps({"weight_map": dict(enumerate(shards))} if "index" in name else {}), encoding="utf-8"
        )
    return folder


@pytest.mark.parametrize("variant", ["", "fp16"])
def test_complete_folder_misses_no_file(variant: str, tmp_path: Path) -> None:
    both = {**SDXL, **T5}
    wanted = WantedFiles(both, variant)
    chosen = choose_files([*LISTING, *T5_LISTING], wanted)
    folder = fill(tmp_path, *chosen)
    assert list_missing_files(folder, wanted, sure=True) == []
    for name in set(chosen) - {"model_index.json"}:
        (folder / name).unlink()
        assert list_missing_files(folder, wanted) == [name]
        fill(folder, name)


def test_plain_weights_replace_a_partial_variant(tmp_path: Path) -> None:
    wanted = WantedFiles(SDXL, "fp16")
    folder = fill(tmp_path, *choose_files(LISTING, WantedFiles(SDXL)))
    half = ["text_encoder/model.fp16.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors"]
    assert list_missing_files(folder, wanted) == half
    fill(folder, half[1])
    assert list_missing_files(folder, wanted) == []
    assert list_missing_files(folder, wanted, sure=True) == half[:1]
