"""Weight files of a model that are damaged, incomplete or there twice: the plan names them, nothing is made up."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from harness.core.errors import UsageError
from harness.core.matrix import Model
from harness.execution.build import check_model
from harness.execution.task import Task
from harness.models import _verify
from harness.models._original import split_parts
from harness.models.file import SingleFile
from harness.models.folder import LocalFolder
from tests.tiny import FAMILIES

Tiny = Callable[[str], Path]
UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def copy(tiny: Tiny, tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that copies the folder of a family, to be damaged."""
    return lambda family: Path(shutil.copytree(tiny(family), tmp_path / family))


def refused(folder: Path) -> UsageError:
    """Return what a plan of the folder is refused with: when it is described, or when its files are verified."""
    with pytest.raises(UsageError) as caught:
        LocalFolder(path=folder).describe()
        LocalFolder(path=folder).verify()
    return caught.value


def task_of(folder: Path, digest: str) -> Task:
    model = Model(source="folder", options={"path": str(folder)})
    return Task.model_construct(model=model, model_digest=digest)


def drop(path: Path, count: int = 1) -> list[str]:
    """Take tensors out of a weight file; return their names."""
    tensors = load_file(path)
    names = sorted(tensors)[-count:]
    save_file({name: tensor for name, tensor in tensors.items() if name not in names}, path, {"format": "pt"})
    return names


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sound_model_is_accepted(family: str, tiny: Tiny) -> None:
    assert LocalFolder(path=tiny(family)).verify() == ()


@pytest.mark.parametrize("family", FAMILIES)
def test_missing_tensors_of_every_component_are_named(family: str, copy: Callable[[str], Path]) -> None:
    folder = copy(family)
    weights = sorted(folder.glob("*/*.safetensors"))
    assert len(weights) >= 3
    for path in weights:
        sound = path.read_bytes()
        (name,) = drop(path)
        error = refused(folder)
        part = path.parent.name
        assert f"{part}/{path.name} does not fit {part}/config.json: it lacks" in error.what
        assert name.split(".")[-2] in error.what
        assert error.where == str(folder)
        with pytest.raises(UsageError, match="it lacks"):
            check_model(task_of(folder, LocalFolder(path=folder).describe().digest))
        path.write_bytes(sound)


def test_weights_changed_after_planning_fail_the_cell(copy: Callable[[str], Path]) -> None:
    folder = copy("sd")
    digest = LocalFolder(path=folder).describe().digest
    check_model(task_of(folder, digest))
    tensors = load_file(folder / UNET)
    save_file({name: tensor * 2 for name, tensor in tensors.items()}, folder / UNET, {"format": "pt"})
    with pytest.raises(UsageError, match="were changed after the plan was made"):
        check_model(task_of(folder, digest))


def test_unexpected_tensors_and_other_shapes_are_named(copy: Callable[[str], Path]) -> None:
    import torch

    folder = copy("sd")
    path = folder / UNET
    save_file({**load_file(path), "conv_in.bias": torch.zeros(5), "more.weight": torch.zeros(2)}, path)
    what = refused(folder).what
    assert "it has tensors that the network does not, 1 tensor: more.weight" in what
    assert "1 tensor of another shape: conv_in.bias is 5, by the configuration 32" in what


def test_spellings_of_published_models_are_accepted(copy: Callable[[str], Path]) -> None:
    """SD 1.5 and SDXL have tables of positions in their text encoders, and the VAE's attention under older names."""
    import torch

    folder, older = copy("sd"), {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    path = folder / "text_encoder" / "model.safetensors"
    encoder = {f"text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in load_file(path).items()}
    save_file({**encoder, "text_model.embeddings.position_ids": torch.arange(24)[None]}, path, {"format": "pt"})
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    vae = load_file(path)
    for new, old in older.items():
        vae = {name.replace(f".{new}.", f".{old}."): tensor for name, tensor in vae.items()}
    assert any(".proj_attn." in name for name in vae)
    save_file(vae, path, {"format": "pt"})
    assert LocalFolder(path=folder).verify() == ()


def pack(folder: Path, method: str) -> None:
    """Give attention layers of the UNet the tensors that a method of quantization writes for them."""
    import torch

    path, config = folder / UNET, folder / "unet" / "config.json"
    tensors = load_file(path)
    for name in [name for name in tensors if name.endswith("to_q.weight")]:
        weight, layer = tensors.pop(name), name.removesuffix(".weight")
        data, scale = weight.to(torch.int8), torch.ones(len(weight), 1)
        tensors |= {
            "quanto": {f"{name}._data": data, f"{name}._scale": scale},
            "torchao": {f"{layer}._weight_qdata": data, f"{layer}._weight_scale": scale},
            "bitsandbytes": {name: data.reshape(-1, 1), f"{name}.absmax": scale},
            "svdquant": {f"{layer}_fused": data},
        }[method]
    save_file(tensors, path, {"format": "pt"})
    config.write_text(json.dumps({**json.loads(config.read_text()), "quantization_config": {"quant_method": method}}))


@pytest.mark.parametrize("method", ["quanto", "torchao", "bitsandbytes"])
def test_quantized_weights_are_compared_by_name(method: str, copy: Callable[[str], Path]) -> None:
    folder = copy("sd")
    pack(folder, method)
    (note,) = LocalFolder(path=folder).verify()
    assert note.startswith("unet is quantized")
    (name,) = drop(folder / UNET)
    assert f"it lacks 1 tensor: {name}" in refused(folder).what


def test_a_method_that_renames_layers_is_not_compared(copy: Callable[[str], Path]) -> None:
    folder = copy("sd")
    pack(folder, "svdquant")
    assert LocalFolder(path=folder).verify() == (
        "unet is quantized (svdquant): its tensors are not compared with its configuration",
    )


def test_incomplete_shard_is_named(copy: Callable[[str], Path]) -> None:
    from diffusers import UNet2DConditionModel

    folder = copy("sd")
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    (folder / UNET).unlink()
    unet.save_pretrained(folder / "unet", max_shard_size="300KB")
    assert LocalFolder(path=folder).verify() == ()
    shards = sorted((folder / "unet").glob("*-of-*.safetensors"))
    drop(shards[-1])
    assert "unet/diffusion_pytorch_model.safetensors.index.json does not fit" in refused(folder).what
    shards[-1].unlink()
    assert f"lists are missing, such as {shards[-1].name}" in refused(folder).what


def test_a_class_that_no_library_has_is_named(copy: Callable[[str], Path]) -> None:
    folder = copy("sd")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "unet": ["my_models", "MyUNet"]}))
    error = refused(folder)
    assert "my_models has no MyUNet" in error.what
    assert "random numbers" not in error.fix


@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_missing_tensors_of_a_single_file_are_named(family: str, tiny: Tiny, tmp_path: Path) -> None:
    from tests.tiny.build import save, sdxl
    from tests.tiny.original import write_original

    folder = tiny("sd") if family == "sd" else save(lambda: sdxl(second=48), tmp_path / "sdxl")
    path = write_original(folder, tmp_path / "x.safetensors")
    model = SingleFile(path=path, config=str(folder))
    assert model.verify() == ()
    tensors = load_file(path)
    parts = split_parts({name: tuple(tensor.shape) for name, tensor in tensors.items()}, family)
    for part, own in parts.items():
        last = sorted(name for name in own if "norm" in name or ".ln_" in name)[-1]
        save_file({name: tensor for name, tensor in tensors.items() if not name.endswith(last) or name == last}, path)
        with pytest.raises(UsageError, match="lacks") as caught:
            model.verify()
        assert f"x.safetensors, {part}, does not fit {part}/config.json" in caught.value.what


def test_what_was_compared_once_is_kept(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    LocalFolder(path=tiny("sd")).verify()
    monkeypatch.setattr(_verify, "_compare", lambda networks: pytest.fail("asked again") if networks else [])
    assert LocalFolder(path=tiny("sd")).verify() == ()


def test_a_plan_refuses_without_importing_torch(copy: Callable[[str], Path]) -> None:
    folder = copy("sd")
    names = drop(folder / "text_encoder" / "model.safetensors", 2)
    script = (
        "import sys\nfrom pathlib import Path\nfrom harness.core.errors import UsageError\n"
        "from harness.models.folder import LocalFolder\n"
        "try:\n    LocalFolder(path=Path(sys.argv[1])).verify()\n"
        "except UsageError as error:\n    print(error.what)\nassert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "text_encoder/model.safetensors does not fit text_encoder/config.json: it lacks 2 tensors" in done.stdout
    assert all(name.split(".")[-2] in done.stdout for name in names)


def test_a_comparison_that_cannot_be_made_is_a_note(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise _verify.PackageNotFoundError(name)

    monkeypatch.setattr(_verify, "version", absent)
    (note,) = LocalFolder(path=tiny("sd")).verify()
    assert note.endswith("were not compared with its configurations: torch is not installed")


def test_a_pointer_in_place_of_weights_is_named(copy: Callable[[str], Path]) -> None:
    for name in (UNET, "text_encoder/model.safetensors", "tokenizer/tokenizer.json", "unet/config.json"):
        folder = copy("sd")
        (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3438167540\n")
        error = refused(folder)
        assert "Git LFS pointer" in error.what
        assert error.where == str(folder / name)
        shutil.rmtree(folder)


@pytest.mark.parametrize("family", ["sd", "pixart", "sana"])
def test_a_tokenizer_without_its_vocabulary_is_named(family: str, copy: Callable[[str], Path]) -> None:
    """The libraries would make one up that knows no word."""
    folder = copy(family)
    for path in (folder / "tokenizer").iterdir():
        path.unlink()
    assert "tokenizer has no " in refused(folder).what


def test_a_file_that_is_cut_off_is_named(copy: Callable[[str], Path]) -> None:
    folder = copy("sd")
    path = folder / UNET
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert (refused(folder).where, "truncated" in refused(folder).what) == (str(path), True)


def test_the_only_variant_is_used_and_recorded(copy: Callable[[str], Path]) -> None:
    folder = copy("sd")
    for path in folder.glob("*/*.safetensors"):
        path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    model = LocalFolder(path=folder)
    info = model.describe()
    assert info.pins == {"variant": "fp16"}
    assert "the weights of text_encoder, unet, vae are the variant fp16" in info.notes[0]
    assert model.load("cpu", {}).family == "sd"
    assert LocalFolder(path=folder, variant="fp16").describe().digest == info.digest
    vae = folder / "vae" / "diffusion_pytorch_model.fp16.safetensors"
    vae.rename(vae.with_name("diffusion_pytorch_model.safetensors"))
    assert "the weights of text_encoder, unet are the variant fp16" in model.describe().notes[0]
    unet = folder / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    unet.rename(unet.with_name("diffusion_pytorch_model.ema.safetensors"))
    assert "variants ema, fp16" in refused(folder).what or "has no plain weights" in refused(folder).what


def test_a_variant_that_no_component_has_is_refused(tiny: Tiny) -> None:
    with pytest.raises(UsageError, match='no component has weights of the variant "fp8"'):
        LocalFolder(path=tiny("sd"), variant="fp8").describe()


def test_plain_weights_are_read_without_a_variant(copy: Callable[[str], Path]) -> None:
    folder = copy("sd")
    path = folder / UNET
    half = path.with_name("diffusion_pytorch_model.fp16.safetensors")
    save_file({name: tensor * 0 for name, tensor in load_file(path).items()}, half)
    plain, varied = LocalFolder(path=folder), LocalFolder(path=folder, variant="fp16")
    assert plain.describe().digest != varied.describe().digest
    assert not plain.describe().notes + plain.verify()
    networks = [model.load("cpu", {}).denoiser for model in (plain, varied)]
    sums = [float(sum(weight.detach().abs().sum() for weight in network.parameters())) for network in networks]
    assert sums[0] > sums[1] == 0


def test_pickles_in_several_files_are_refused(copy: Callable[[str], Path]) -> None:
    from diffusers import UNet2DConditionModel

    folder = copy("sd")
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    (folder / UNET).unlink()
    unet.save_pretrained(folder / "unet", safe_serialization=False)
    assert LocalFolder(path=folder).verify() == ()  # a single one is read
    (folder / "unet" / "diffusion_pytorch_model.bin").unlink()
    assert "unet has no diffusion_pytorch_model.safetensors" in refused(folder).what
    unet.save_pretrained(folder / "unet", safe_serialization=False, max_shard_size="300KB")
    error = refused(folder)
    assert "the weights of unet are pickles in several files (.bin)" in error.what
    assert "save_pretrained" in error.fix


@pytest.mark.parametrize(("part", "sharded"), [("unet", True), ("text_encoder", False)])
def test_duplicate_weights_are_named_as_read(part: str, sharded: bool, copy: Callable[[str], Path]) -> None:
    """diffusers reads shards where there are both, transformers the whole file."""
    folder = copy("sd")
    (whole,) = (folder / part).glob("*.safetensors")
    network = getattr(LocalFolder(path=folder).load("cpu", {}).pipeline, part)  # type: ignore[attr-defined]
    zeros = {name: tensor * 0 for name, tensor in load_file(whole).items()}
    network.save_pretrained(folder / part, max_shard_size="60KB")
    assert list((folder / part).glob("*-of-*.safetensors"))
    save_file(zeros, whole, {"format": "pt"})
    model = LocalFolder(path=folder)
    (note,) = model.verify()
    index = f"{whole.name}.index.json"
    read, unread = (index, whole.name) if sharded else (whole.name, index)
    assert f"{read} will be read; {unread} will not be read" in note.replace(f"{part}/", "")
    loaded = getattr(model.load("cpu", {}).pipeline, part)  # type: ignore[attr-defined]
    total = float(sum(weight.detach().abs().sum() for weight in loaded.parameters()))
    assert (total > 0) == sharded, "the note names what is read"
    before = model.describe().digest
    save_file({name: tensor + 1 for name, tensor in zeros.items()}, whole, {"format": "pt"})
    assert (model.describe().digest == before) == sharded


def test_null_is_accepted_for_optional_components(copy: Callable[[str], Path]) -> None:
    folder = copy("sd")
    path = folder / "model_index.json"
    index = json.loads(path.read_text())
    path.write_text(json.dumps({**index, "safety_checker": None, "feature_extractor": None, "image_encoder": None}))
    model = LocalFolder(path=folder)
    assert model.describe().family == "sd"
    assert model.load("cpu", {}).family == "sd"


@pytest.mark.parametrize("nothing", [None, [None, None]])
@pytest.mark.parametrize("family", FAMILIES)
def test_null_is_refused_for_required_components(family: str, nothing: object, copy: Callable[[str], Path]) -> None:
    folder = copy(family)
    path = folder / "model_index.json"
    index = json.loads(path.read_text())
    required = {name for name, part in index.items() if isinstance(part, list) and part[0]}
    assert {"vae", "scheduler", "tokenizer"} < required
    for part in required:
        path.write_text(json.dumps({**index, part: nothing}))
        assert f"model_index.json names no {part}," in refused(folder).what


def test_sdxl_works_with_its_second_encoder_alone(copy: Callable[[str], Path]) -> None:
    folder = copy("sdxl")
    path = folder / "model_index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"text_encoder": None, "tokenizer": None}))
    assert "names no text_encoder and no tokenizer," in refused(folder).what
    unet, second = (folder / part / "config.json" for part in ("unet", "text_encoder_2"))
    width = json.loads(second.read_text())["hidden_size"]
    unet.write_text(json.dumps(json.loads(unet.read_text()) | {"cross_attention_dim": width}))
    assert LocalFolder(path=folder).describe().family == "sdxl"


def test_a_linked_model_has_its_given_name(tiny: Tiny, tmp_path: Path) -> None:
    from tests.tiny.original import write_original

    (tmp_path / "nightly").symlink_to(tiny("sd"))
    assert LocalFolder(path=tmp_path / "nightly").describe().title == "nightly"
    blob = write_original(tiny("sd"), tmp_path / "blob.safetensors").rename(tmp_path / ("a" * 64))
    (tmp_path / "my-model.safetensors").symlink_to(blob)
    linked = SingleFile(path=tmp_path / "my-model.safetensors", config=str(tiny("sd")))
    assert linked.describe().title == "my-model"
    assert linked.load("cpu", {}).family == "sd"
