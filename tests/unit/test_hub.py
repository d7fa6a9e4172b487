"""Models of a hub: which files are fetched, once and whole; what is said where that cannot be."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import api
from harness.core.errors import HarnessError, MachineError, UsageError
from harness.core.matrix import Model
from harness.core.model import ModelSource
from harness.models import read_model, resolve_model
from harness.store import read_outcomes, read_plan
from tests.builders.hub_server import COMMIT, MOVED, FakeHub, point_at, serve

ID = "owner/tiny-sdxl"
EXTRA = (  # what repositories hold besides: other formats, other variants, folders that no component names
    "sd_xl_base_1.0.safetensors",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_flax_model.msgpack",
    "unet/model.onnx",
    "vae_1_0/config.json",
    "vae_1_0/diffusion_pytorch_model.safetensors",
    "README.md",
)
MATRIX = """
name = "hub"
model = "{model}"
[axes]
steps = [1]
[baseline]
steps = 1
[prompts]
set = "{words}"
[measure]
min_s = 0
max_s = 0.1
[quality]
metrics = ["psnr"]
rerun_prompts = 2
"""
UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def hub(tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub with a tiny SDXL as a real repository looks, the only one there is, and an empty cache."""
    folder = tmp_path / "repository"
    for path in tiny("sdxl").rglob("*"):
        if path.is_file():
            target = folder / path.relative_to(tiny("sdxl"))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)
    for name in EXTRA:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x" * 1000)
    with serve(FakeHub(ID, folder)) as served:
        point_at(served, tmp_path / "cache", monkeypatch)
        yield served


def source(word: str = f"{ID}@{COMMIT}", **options: str) -> ModelSource:
    model = read_model(word)
    return resolve_model(model.model_copy(update={"options": {**model.options, **options}}))


def test_plan_knows_model_and_missing_size_offline(hub: FakeHub) -> None:
    info = source().describe()
    assert info.family == "sdxl"
    assert info.download is not None
    assert not set(info.download.missing) & set(EXTRA)
    assert UNET in info.download.missing
    sizes = {name: path.stat().st_size for name, path in hub.files().items()}
    assert info.download.missing_bytes == sum(sizes[name] for name in info.download.missing)
    assert not [name for name in hub.transferred() if not name.endswith(".json")]


def test_known_model_has_a_size_before_its_download(hub: FakeHub) -> None:
    hub.repository = "stabilityai/stable-diffusion-xl-base-1.0"
    assert source(hub.repository).describe().parameters["denoiser"] == 2_567_463_684


def test_used_files_are_fetched_once(hub: FakeHub) -> None:
    model = source()
    before = model.describe()
    model.fetch()
    transferred = hub.transferred()
    assert len(transferred) == len(set(transferred))
    assert not set(transferred) & set(EXTRA)
    hub.requests.clear()
    info = model.describe()
    model.fetch()
    assert info.download is not None
    assert not info.download.missing
    assert info.digest == before.digest
    sizes = {
        "download",
        "parameters",
        "activations",
    }  # of a model that nobody knows only its files tell how large it is
    assert before.model_dump(exclude=sizes) == info.model_dump(exclude=sizes)
    assert not before.parameters
    assert set(info.parameters) == {"denoiser", "vae", "text_encoder", "text_encoder_2"}
    assert hub.requests == []


def test_a_fetched_model_is_the_folder_it_came_from(hub: FakeHub, tiny: Callable[[str], Path]) -> None:
    model = source()
    model.fetch()
    theirs = resolve_model(Model(source="folder", options={"path": str(tiny("sdxl"))})).load("cpu", {})
    ours = model.load("cpu", {})
    assert ours.weights_bytes() == theirs.weights_bytes()
    ours_state, their_state = ours.denoiser.state_dict(), theirs.denoiser.state_dict()
    assert all((ours_state[name] == tensor).all() for name, tensor in their_state.items())


def test_branch_is_pinned_to_its_commit_with_a_caution(hub: FakeHub) -> None:
    info = source(ID).describe()
    assert info.pins == {"revision": COMMIT}
    assert COMMIT in info.notes[0]
    assert "not pinned" in info.notes[0]
    assert not source().describe().notes
    hub.commit = MOVED
    assert source(ID).describe().digest != info.digest


def test_offline_branch_is_the_last_seen_commit(hub: FakeHub) -> None:
    source(ID).fetch()
    hub.down = True
    info = source(ID).describe()
    assert info.pins == {"revision": COMMIT}
    assert "as last seen" in info.notes[0]


def test_broken_transfer_resumes(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)  # what came of an unfinished chunk is asked for again
    hub.cuts = {UNET: 5000}
    source().fetch()
    assert [name for name in hub.transferred() if name.startswith(UNET)] == [UNET, f"{UNET} from 4096"]
    info = source().describe()
    assert info.download is not None
    assert not info.download.missing


def test_a_second_try_fetches_only_what_is_missing(hub: FakeHub) -> None:
    source().fetch()
    snapshot = Path(source().describe().folder)
    (snapshot / UNET).resolve().unlink()
    (snapshot / UNET).unlink()
    hub.requests.clear()
    info = source().describe()
    assert info.download is not None
    assert info.download.missing == (UNET,)
    source().fetch()
    assert hub.transferred() == [UNET]


def test_offline_lists_missing_files_and_the_command(hub: FakeHub) -> None:
    source().fetch()
    snapshot = Path(source().describe().folder)
    for name in (UNET, "vae/config.json", "tokenizer/vocab.json", "tokenizer/tokenizer.json"):
        (snapshot / name).unlink(missing_ok=True)
    hub.down = True
    with pytest.raises(MachineError) as caught:
        source().describe()
    assert UNET in caught.value.what
    assert "vae/config.json" in caught.value.what
    assert "tokenizer/" in caught.value.what
    assert f"hf download {ID} " in caught.value.fix
    assert f" --revision {COMMIT}\n" in caught.value.fix
    assert f" {UNET} " in caught.value.fix


def test_offline_without_cache_is_one_clear_message(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(MachineError, match="HF_HUB_OFFLINE is set") as caught:
        source(ID).describe()
    assert "none of its files" in caught.value.what
    assert f"hf download {ID} --include" in caught.value.fix
    assert f"there is none named {ID} here" in caught.value.what
    with pytest.raises(MachineError, match="none of its files") as famous:
        source("stabilityai/stable-diffusion-xl-base-1.0", variant="fp16").describe()
    assert "\n  unet/diffusion_pytorch_model.fp16.safetensors" in famous.value.what
    assert "\n  tokenizer_2/merges.txt" in famous.value.what
    assert " text_encoder_2/model.fp16.safetensors" in famous.value.fix
    assert hub.requests == []


def test_a_file_that_was_changed_in_the_cache_is_named(hub: FakeHub) -> None:
    model = source()
    assert model.verify() == ()
    model.fetch()
    assert model.verify() == ()
    place = Path(model.describe().folder) / UNET
    content = place.read_bytes()
    place.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(MachineError, match="was changed or damaged in the Hugging Face cache") as caught:
        model.verify()
    assert caught.value.where == str(place)
    assert f"Remove {place.resolve()}" in caught.value.fix


def test_repository_without_tensors_is_refused(hub: FakeHub) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(hub.folder / UNET)
    lost = tensors.pop("conv_out.weight")
    assert lost is not None
    (hub.folder / UNET).unlink()
    save_file(tensors, hub.folder / UNET, {"format": "pt"})
    model = source()
    model.fetch()
    with pytest.raises(UsageError, match=r"does not fit unet/config.json: it lacks 1 tensor: conv_out.weight"):
        model.verify()


def refused(word: str = ID, **options: str) -> HarnessError:
    with pytest.raises(UsageError) as caught:
        source(word, **options).describe()
    return caught.value


def test_what_the_hub_does_not_have_is_a_plain_error(hub: FakeHub) -> None:
    assert "does not exist on the Hugging Face Hub" in refused("owner/tiny-sdx").what
    assert 'no revision "v9"' in refused(f"{ID}@v9").what
    assert "no revision" in refused(f"{ID}@{MOVED}").what
    (hub.folder / "model_index.json").unlink()
    assert "no model_index.json" in refused().what


def test_gated_model_links_access_and_uses_the_token(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.gated = True
    error = refused()
    assert "gated" in error.what
    assert f"{hub.endpoint}/{ID}" in error.fix
    assert "HF_TOKEN" in error.fix
    monkeypatch.setenv("HF_TOKEN", "right")
    assert source(ID).describe().family == "sdxl"


def test_variant_is_fetched_only_where_it_exists(hub: FakeHub) -> None:
    half = "unet/diffusion_pytorch_model.fp16.safetensors"
    (hub.folder / half).write_bytes((hub.folder / UNET).read_bytes())
    plain, varied = source().describe(), source(variant="fp16").describe()
    assert plain.download is not None
    assert varied.download is not None
    assert set(varied.download.missing) - set(plain.download.missing) == {half}
    assert UNET not in varied.download.missing
    assert plain.digest != varied.digest
    source(variant="fp16").fetch()
    assert source(variant="fp16").load("cpu", {}).family == "sdxl"
    assert "It has: fp16" in refused(variant="fp8").fix


def test_full_cache_is_reported_before_the_download(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    source().describe()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    hub.requests.clear()
    with pytest.raises(MachineError, match="do not fit"):
        source().fetch()
    assert hub.transferred() == []


def test_run_fetches_once_and_records_the_commit(hub: FakeHub, tmp_path: Path) -> None:
    words, path = tmp_path / "words.txt", tmp_path / "m.toml"
    words.write_text("a red circle\n", encoding="utf-8")
    path.write_text(MATRIX.format(model=ID, words=words), encoding="utf-8")
    run = api.open_run(api.load(path), results=tmp_path / "results")
    assert len(set(hub.transferred())) == len(hub.transferred())
    hub.down = True  # a branch that moves, or a network that goes, changes nothing for a run that began
    api.continue_run(run, inline=True)
    assert {outcome.status for outcome in read_outcomes(run).values()} == {"completed"}
    plan = read_plan(run)
    assert plan.matrix.model.options == {"id": ID, "revision": COMMIT}
    assert [note for note in plan.notes if "all in the cache" in note]
