"""Caches give what they promise: equal numbers where exact, fewer blocks where not, and never a stale answer."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.axes import read_entry, resolve_setting
from harness.axes.caching import _proxy
from harness.axes.caching._proxy import Embeddings, join_rows
from harness.axes.caching._store import TensorStore, identify_encoders
from harness.core.axis import Setup
from harness.core.errors import NoEffect
from harness.core.model import Call, TextToImage
from harness.models.folder import LocalFolder
from tests.builders.cell_on_model import FLOAT, distance, plan_cell, run_cell

TWO = Call(prompts=("a red circle", "a blue ring"), keys=(("p", 0), ("q", 0)), steps=4, guidance=2, width=32, height=32)


def test_store_returns_what_was_put_and_no_damage(tmp_path: Path) -> None:
    store = TensorStore(tmp_path)
    tensors = {"a": torch.arange(6).reshape(2, 3), "b": torch.randn(4, dtype=torch.bfloat16)}
    assert store.read("ab12") is None
    store.write("ab12", tensors)
    found = store.read("ab12")
    assert found is not None
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    path = store.path("ab12")
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"\0" * 100, whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(damaged)
        assert store.read("ab12") is None
    store.write("ab12", tensors)
    assert store.read("ab12") is not None


def test_writers_at_the_same_time_leave_one_whole_file(tmp_path: Path) -> None:
    store = TensorStore(tmp_path)
    bad: list[int] = []

    def write(value: int) -> None:
        for _ in range(20):
            store.write("k", {"x": torch.full((500,), value)})
            found = store.read("k")
            if found is None or found["x"].unique().numel() != 1:
                bad.append(value)

    threads = [threading.Thread(target=write, args=(value,)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not bad
    assert [path.name for path in store.path("k").parent.iterdir()] == ["k.safetensors"]


def test_embeddings_belong_to_their_encoders(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    load = LocalFolder(path=tiny("sdxl")).load
    model = load("cpu", {})
    identity = identify_encoders(model)
    assert identify_encoders(load("cpu", {})) == identity
    assert identify_encoders(load("cpu", {"dtype": "bfloat16"})) != identity
    embeddings = Embeddings(model, tmp_path)
    first = embeddings.find(model, TWO.prompts[0], True)
    assert (embeddings.hits, embeddings.misses) == (0, 1)
    again = Embeddings(load("cpu", {}), tmp_path)  # another process, the same folder
    found = again.find(model, TWO.prompts[0], True)
    assert (again.hits, again.misses) == (1, 0)
    assert all(torch.equal(found[name], tensor) for name, tensor in first.items())
    assert set(again.find(model, TWO.prompts[0], False)) < set(first)  # without guidance: another entry, no negative
    assert again.misses == 1
    assert identify_encoders(model) == identity  # though its tokenizers remember how they padded last
    weight = next(model.text_encoders["text_encoder_2"].parameters())
    weight.data[0] += 1
    assert identify_encoders(model) != identity


def test_a_call_that_breaks_leaves_nothing_behind(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """What a block remembers is forgotten at the end of a pass, which a call that runs out of memory never reaches."""

    def load() -> TextToImage:
        model = LocalFolder(path=tiny("flux")).load("cpu", {})
        value = resolve_setting(read_entry("caching", "taylorseer"))
        value.apply(model, Setup(TWO, 2, tmp_path))
        return model

    def run_out(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("while decoding")

    one, broken = TWO.of([0]).model_copy(update={"steps": 6}), load()
    plain = np.asarray(load().generate(one))
    decode = broken.vae.decode
    broken.vae.decode = run_out
    with pytest.raises(torch.OutOfMemoryError):
        broken.generate(TWO.model_copy(update={"steps": 6}))
    broken.vae.decode = decode
    assert distance(broken.generate(one), plain) < FLOAT


def test_rows_of_a_batch_may_lie_on_several_devices() -> None:
    stored, fresh = {"embeds": torch.zeros(1, 2)}, {"embeds": torch.zeros(1, 2, device="meta")}
    joined = join_rows([stored, fresh, stored], "meta")["embeds"]
    assert (joined.shape, joined.device.type) == ((3, 2), "meta")


def test_what_was_used_last_stays_at_hand(
    tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_proxy, "IN_MEMORY", 2)
    model = LocalFolder(path=tiny("sd")).load("cpu", {})
    embeddings = Embeddings(model, tmp_path)
    kept = embeddings.find(model, "a ring", True)
    for prompt in ("a dot", "a ring", "a line"):
        embeddings.find(model, prompt, True)
    assert embeddings.find(model, "a ring", True) is kept


def test_a_damaged_entry_is_made_again(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    model = LocalFolder(path=tiny("sd")).load("cpu", {})
    first = Embeddings(model, tmp_path).find(model, "a ring", True)
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-7])
    embeddings = Embeddings(model, tmp_path)
    again = embeddings.find(model, "a ring", True)
    assert embeddings.misses == 1
    assert all(torch.equal(again[name], tensor) for name, tensor in first.items())
    assert TensorStore(tmp_path).read(path.stem) is not None


@pytest.mark.parametrize(("interval", "whole"), [(2, 2), (3, 2), (4, 1)])
def test_deepcache_runs_inner_blocks_once_an_interval(
    interval: int, whole: int, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    """Tiny UNets have three inner blocks: one down, the middle, one up; four steps of Euler are four calls."""
    planned = plan_cell(tiny("sdxl"), {"caching": f"deepcache+interval={interval}"})
    (did,) = [did for did in run_cell(planned, tmp_path).applied if did.axis == "caching"]
    assert did.figures == {"inner_blocks_executed": 3 * whole, "inner_blocks_skipped": 3 * (4 - whole)}


def test_deepcache_is_exact_where_inner_outputs_stay(tiny: Callable[[str], Path]) -> None:
    """A second call with the same input gives the same output, though the inner levels rest."""
    from harness.axes.caching._hooks import hook_levels

    model = LocalFolder(path=tiny("sd")).load("cpu", {})
    unet = model.denoiser
    states, text = torch.randn(2, 4, 8, 8), torch.randn(2, 5, 32)
    with torch.no_grad():
        plain = unet(states, 500, text).sample
        hook_levels(model.denoiser, 5, 1)
        outputs = [unet(states, 500, text).sample for _ in range(3)]
        moved = unet(states + 0.1, 480, text).sample
    assert all(torch.equal(output, plain) for output in outputs)
    assert not torch.equal(moved, plain)  # the outer level still sees its input


def test_a_new_image_forgets_the_one_before(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """What is remembered of one prompt never shows in the next."""
    for family, caching in (("sdxl", "deepcache"), ("sd", "text-kv"), ("flux", "taylorseer"), ("flux", "faster-cache")):
        made = run_cell(plan_cell(tiny(family), {"caching": caching}), tmp_path)
        call = made.recipe.call().model_copy(update={"prompts": ("another one",), "keys": (("r", 1),)})
        after = np.asarray(made.model.generate(call))
        fresh = run_cell(plan_cell(tiny(family), {"caching": caching}), tmp_path).model.generate(call)
        assert distance(after, np.asarray(fresh)) < FLOAT, caching


def test_stored_latents_continue_exactly_multistep(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    plain = run_cell(plan_cell(tiny("sd"), {"scheduler": "dpmpp-2m"}), tmp_path)
    made = run_cell(plan_cell(tiny("sd"), {"scheduler": "dpmpp-2m", "caching": "latents+calls=3"}), tmp_path)
    assert distance(made.second, plain.first) < FLOAT
    (did,) = [did for did in made.applied if did.axis == "caching"]
    assert did.figures == {"denoiser_calls": 1, "denoiser_calls_skipped": 3}


def test_a_threshold_that_skips_nothing_fails(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(NoEffect, match="none of 16 blocks was skipped"):
        run_cell(plan_cell(tiny("flux"), {"caching": "first-block+threshold=0.0001"}), tmp_path)


@pytest.mark.parametrize(
    ("family", "settings", "words"),
    [
        ("sdxl", {"caching": "first-block"}, "no-block-cache"),
        ("flux", {"caching": "deepcache"}, "transformer"),
        ("flux", {"caching": "text-kv"}, "joint-attention"),
        ("sdxl", {"caching": "deepcache+depth=2"}, "leaves none of the 2 levels"),
        ("sdxl", {"caching": "deepcache", "steps": "1"}, "one step has no results"),
        ("flux", {"caching": "taylorseer", "steps": "3"}, "the first 3 steps are computed"),
        ("sdxl", {"caching": "latents+calls=9"}, "not more than calls=9"),
        ("sdxl", {"caching": "deepcache", "compiler": "inductor"}, "recompiles"),
        ("sdxl", {"caching": "deepcache", "compiler": "onnxruntime"}, "exclude each other"),
    ],
)
def test_what_cannot_be_is_refused_in_the_plan(
    family: str, settings: dict[str, str], words: str, tiny: Callable[[str], Path]
) -> None:
    reason = str(plan_cell(tiny(family), settings).reason)
    assert words in reason
    assert settings["caching"] in reason
