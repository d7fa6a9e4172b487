"""Distilled weights: they fit or the plan says why not, they change the denoiser, and they bring their settings."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import NoEffect, UsageError
from harness.core.plan import PlannedCell
from harness.execution.build import check_adapters, read_recipe
from harness.execution.task import Task
from harness.models import resolve_model
from harness.planning.availability import find_cautions
from harness.planning.resolve import hash_read_files
from tests.builders.cell_on_model import FLOAT, PROMPTS, distance, plan_cell, run_cell
from tests.builders.lora_on_the_spot import write_denoiser, write_lora

Tiny = Callable[[str], Path]


@pytest.fixture(scope="session")
def lora(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("loras")

    def of(family: str) -> Path:
        target = folder / family / "tiny.safetensors"
        return target if target.exists() else write_lora(tiny(family), target)

    return of


@pytest.mark.parametrize("family", ["sd", "sdxl", "flux", "sd3"])
def test_lora_acts_alike_fused_or_not_and_unloads(
    family: str, tiny: Tiny, lora: Callable[[str], Path], tmp_path: Path
) -> None:
    plain = run_cell(plan_cell(tiny(family), {}), tmp_path)
    fused = run_cell(plan_cell(tiny(family), {"distillation": f"lora+weights={lora(family)}"}), tmp_path)
    beside = run_cell(plan_cell(tiny(family), {"distillation": f"lora+fuse=false+weights={lora(family)}"}), tmp_path)
    assert distance(fused.second, plain.second) > 1e-3
    assert distance(fused.second, beside.second) < 1e-4
    (did,) = [did for did in fused.applied if did.axis == "distillation"]
    assert did.figures["lora_layers"] > 0
    assert "fused" in did.summary
    beside.model.pipeline.unload_lora_weights()
    call = beside.recipe.call
    again = beside.model.generate(call(PROMPTS, (0,)))
    assert distance(again, plain.second) < FLOAT


def test_half_the_scale_is_half_the_change(tiny: Tiny, lora: Callable[[str], Path], tmp_path: Path) -> None:
    changes = []
    for scale in (1.0, 0.5):
        entry = f"lora+scale={scale}+weights={lora('sd')}"
        made = run_cell(plan_cell(tiny("sd"), {"distillation": entry}), tmp_path)
        (did,) = [did for did in made.applied if did.axis == "distillation"]
        changes.append(float(did.figures["largest_change"]))
    assert changes[1] == pytest.approx(changes[0] / 2, rel=1e-5)


def test_a_lora_without_effect_fails(tiny: Tiny, tmp_path: Path) -> None:
    idle = write_lora(tiny("sd"), tmp_path / "idle.safetensors", size=0.0)
    planned = plan_cell(tiny("sd"), {"distillation": f"lora+weights={idle}"})
    assert planned.reason is None
    with pytest.raises(NoEffect, match="changes no weight"):
        run_cell(planned, tmp_path)


def test_the_plan_refuses_a_lora_of_another_model(tiny: Tiny, lora: Callable[[str], Path]) -> None:
    for model, other in (("sd", "sdxl"), ("sdxl", "sd"), ("flux", "sd"), ("sd3", "flux")):
        reason = plan_cell(tiny(model), {"distillation": f"lora+weights={lora(other)}"}).reason
        assert reason is not None
        assert f"tiny.safetensors does not fit the {model}" in reason, reason


def test_the_plan_refuses_weights_that_are_not_there(tiny: Tiny, tmp_path: Path) -> None:
    def reason(entry: str) -> str:
        return str(plan_cell(tiny("sdxl"), {"distillation": entry}).reason)

    assert "there is no file" in reason(f"lora+weights={tmp_path}/absent.safetensors")
    assert "has no" in reason(f"lora+weights={tmp_path}")
    hub = reason("lora+weights=someone/nothing+weight_name=x.safetensors")
    assert "x.safetensors of huggingface.co/someone/nothing is not in the Hugging Face cache" in hub
    (tmp_path / "broken.safetensors").write_bytes(b"nonsense")
    assert "not a safetensors file" in reason(f"lora+weights={tmp_path}/broken.safetensors")
    for name in ("pointer.safetensors", "pointer.bin"):
        (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3438167540\n")
        said = reason(f"unet+weights={tmp_path}/{name}")
        assert f"{name}: this is a Git LFS pointer instead of the file (3.2 GiB)" in said
    assert "needs the option weights" in reason("lora")


@pytest.mark.parametrize("magnitude", ["lora_magnitude_vector", "dora_scale"])
def test_partial_dora_is_refused_in_the_plan(
    magnitude: str, tiny: Tiny, lora: Callable[[str], Path], tmp_path: Path
) -> None:
    """peft would leave the other layers' magnitudes without values, or use those of the base weights."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(lora("sd"))
    layers = sorted({name.partition(".lora")[0] for name in tensors})
    for count, fits in ((1, False), (len(layers) - 1, False), (len(layers), True)):
        some = {f"{layer}.{magnitude}": torch.ones(1) for layer in layers[:count]}
        save_file(tensors | some, tmp_path / f"{count}.safetensors")
        reason = plan_cell(tiny("sd"), {"distillation": f"lora+weights={tmp_path}/{count}.safetensors"}).reason
        assert (reason is None) == fits, reason
        assert fits or f"DoRA magnitudes for {count} of its {len(layers)} layers" in str(reason)


def test_whole_denoiser_replaces_the_model_denoiser(tiny: Tiny, tmp_path: Path) -> None:
    plain = run_cell(plan_cell(tiny("pixart"), {}), tmp_path)
    weights = write_denoiser(tiny("pixart"), tmp_path / "other.safetensors")
    made = run_cell(plan_cell(tiny("pixart"), {"distillation": f"unet+weights={weights}"}), tmp_path)
    assert distance(made.second, plain.second) > 1e-3
    same = write_denoiser(tiny("pixart"), tmp_path / "same.safetensors", change=1.0)
    with pytest.raises(NoEffect, match="equal the model's"):
        run_cell(plan_cell(tiny("pixart"), {"distillation": f"unet+weights={same}"}), tmp_path)
    reason = plan_cell(tiny("sd"), {"distillation": f"unet+weights={weights}"}).reason
    assert "other.safetensors does not fit the sd: its tensor" in str(reason)


@pytest.mark.parametrize(
    ("entry", "family"),
    [
        ("unet+scale=0.01+weights={}", "sdxl"),
        ("unet+fuse=false+weights={}", "sdxl"),
        ("dmd2+unet+fuse=false", "sdxl"),
        ("hyper-sd+steps=1+unet+scale=0.5", "sdxl"),
        ("sdxl-lightning+steps=1+fuse=false", "sdxl"),
        ("turbo+scale=0.5", "sd"),
    ],
)
def test_lora_options_are_refused_for_whole_denoisers(entry: str, family: str, tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").touch()
    reason = plan_cell(tiny(family), {"distillation": entry.format(tmp_path / "w.safetensors")}).reason
    assert "a whole denoiser, not a LoRA: leave out scale and fuse" in str(reason)


@pytest.mark.parametrize(
    ("resolution", "kinds"),
    [("512x512", set()), ("1024x1024", {"distilled-size"}), ("progressive+stages=512-1024", set())],
)
def test_turbo_on_a_larger_model_warns_of_size(resolution: str, kinds: set[str], tiny: Tiny) -> None:
    planned = plan_cell(tiny("sdxl"), {"distillation": "turbo", "resolution": resolution})
    info = resolve_model(planned.model).describe()
    cautions = find_cautions(planned.cell, info, planned.machine)
    assert {caution.kind for caution in cautions if caution.kind == "distilled-size"} == kinds


def as_pickle(weights: Path) -> Path:
    """Write the tensors of a safetensors file as torch.save does."""
    import torch
    from safetensors.torch import load_file

    target = weights.with_suffix(".bin")
    torch.save(load_file(weights), target)
    return target


@pytest.mark.parametrize("kind", ["lora", "unet"])
def test_pickled_weights_are_checked_and_loaded(
    kind: str, tiny: Tiny, lora: Callable[[str], Path], tmp_path: Path
) -> None:
    write = {"lora": lambda: lora("sd"), "unet": lambda: write_denoiser(tiny("sd"), tmp_path / "w.safetensors")}
    weights = write[kind]()
    made = [
        run_cell(plan_cell(tiny("sd"), {"distillation": f"{kind}+weights={file}"}), tmp_path).first
        for file in (weights, as_pickle(weights))
    ]
    assert distance(made[1], made[0]) < FLOAT
    other = str(plan_cell(tiny("sdxl"), {"distillation": f"{kind}+weights={as_pickle(weights)}"}).reason)
    assert f"{weights.stem}.bin does not fit the sdxl: its" in other


def test_pickle_that_could_run_code_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    import torch

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "sprung",))  # type: ignore[return-value]

    def reason(content: object) -> str:
        torch.save(content, tmp_path / "w.bin")
        return str(plan_cell(tiny("sd"), {"distillation": f"unet+weights={tmp_path}/w.bin"}).reason)

    assert "w.bin: the checkpoint contains more than tensors" in reason({"a": Trap()})
    assert not (tmp_path / "sprung").exists()
    assert "w.bin: the checkpoint does not contain named tensors. Save the weights alone" in reason(
        {"state_dict": {"a": torch.ones(1)}}
    )
    (tmp_path / "w.bin").write_bytes(b"nonsense")
    refused = plan_cell(tiny("sd"), {"distillation": f"unet+weights={tmp_path}/w.bin"}).reason
    assert "w.bin: this is not a torch checkpoint" in str(refused)


PUBLISHED = [
    ("lcm-lora", "sdxl", {"scheduler": "lcm", "guidance": "1"}),
    ("sdxl-lightning", "sdxl", {"scheduler": "euler-trailing", "guidance": "1", "steps": "4"}),
    ("sdxl-lightning+steps=1", "sdxl", {"scheduler": "euler-trailing", "steps": "1"}),
    ("hyper-sd", "sd", {"scheduler": "ddim+trailing", "guidance": "1", "steps": "8"}),
    ("hyper-sd+steps=1", "sdxl", {"scheduler": "tcd+eta=1.0", "steps": "1"}),
    ("hyper-sd+steps=1+unet", "sdxl", {"scheduler": "lcm", "steps": "1"}),
    ("hyper-sd+steps=16", "flux", {"scheduler": "default", "guidance": "3.5", "steps": "16"}),
    ("hyper-sd+steps=4", "sd3", {"scheduler": "default", "guidance": "3", "steps": "4"}),
    ("hyper-sd+steps=16", "sd3", {"scheduler": "default", "guidance": "7", "steps": "16"}),
    ("dmd2", "sdxl", {"scheduler": "lcm", "guidance": "1", "steps": "4"}),
    ("turbo", "sdxl", {"scheduler": "euler-ancestral+trailing", "guidance": "1", "steps": "1"}),
]


@pytest.mark.parametrize(("entry", "family", "settings"), PUBLISHED)
def test_published_weights_bring_their_settings(
    entry: str, family: str, settings: dict[str, str], tiny: Tiny, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    planned = plan_cell(tiny(family), {"distillation": entry}, plain={"resolution": "32x32"})
    assert {axis: str(planned.cell.setting(axis)) for axis in settings} == settings
    assert "is not in the Hugging Face cache" in str(planned.reason)


def test_nobody_is_sent_for_weights_of_another_model(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where no machine could use them, that is the reason, not the download; else the file is this model's."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    flux = str(plan_cell(tiny("flux"), {"distillation": "dmd2"}).reason)
    assert "no such weights are published for the flux" in flux
    sdxl = str(plan_cell(tiny("sdxl"), {"distillation": "hyper-sd"}).reason)
    assert "Hyper-SDXL-8steps-lora.safetensors of huggingface.co/ByteDance/Hyper-SD is not in" in sdxl


def test_the_matrix_may_overrule_what_weights_bring(tiny: Tiny) -> None:
    cell = plan_cell(tiny("sdxl"), {"distillation": "sdxl-lightning", "scheduler": "ddim", "steps": "8"}).cell
    assert str(cell.setting("scheduler")) == "ddim"
    assert str(cell.setting("steps")) == "8"


def test_published_weights_run_from_a_file(tiny: Tiny, lora: Callable[[str], Path], tmp_path: Path) -> None:
    """Settings are the published ones, the file is the user's: DMD2's four timesteps reach the pipeline."""
    seen: list[object] = []
    planned = plan_cell(tiny("sdxl"), {"distillation": f"dmd2+weights={lora('sdxl')}"}, plain={"resolution": "32x32"})
    assert planned.reason is None
    made = run_cell(planned, tmp_path)
    denoiser = made.model.denoiser
    handle = denoiser.register_forward_pre_hook(lambda _, given: seen.append(round(float(given[1]))))
    made.model.generate(made.recipe.call(PROMPTS, (0,)))
    handle.remove()
    assert seen == [999, 749, 499, 249]


def test_one_step_of_lightning_predicts_the_sample(tiny: Tiny, tmp_path: Path) -> None:
    weights = write_denoiser(tiny("sdxl"), tmp_path / "one.safetensors")
    entry = f"sdxl-lightning+steps=1+weights={weights}"
    made = run_cell(plan_cell(tiny("sdxl"), {"distillation": entry}, plain={"resolution": "32x32"}), tmp_path)
    scheduler = made.model.pipeline.scheduler
    assert scheduler.config.prediction_type == "sample"
    assert scheduler.config.timestep_spacing == "trailing"


@pytest.mark.parametrize(
    "change", [lambda file: file.write_bytes(file.read_bytes() + b" "), lambda file: file.unlink()]
)
def test_adapter_changed_after_the_plan_fails_the_cell(
    change: Callable[[Path], object], tiny: Tiny, tmp_path: Path
) -> None:
    target = write_lora(tiny("sd"), tmp_path / "w.safetensors")
    planned = plan_cell(tiny("sd"), {"distillation": f"lora+weights={target}"})
    files = hash_read_files(planned.cell, resolve_model(planned.model).describe())
    assert set(files) == {"distillation"}
    cell = PlannedCell(cell=planned.cell, order=0, files=files, estimate_s=0, content_key="")
    task, recipe = Task.model_construct(model=planned.model, planned=cell), read_recipe(planned.cell)
    check_adapters(task, recipe)
    change(target)
    with pytest.raises(UsageError, match="were changed after the plan was made") as caught:
        check_adapters(task, recipe)
    assert caught.value.where == "distillation"


def test_other_weights_of_one_name_are_another_cell(tiny: Tiny, tmp_path: Path) -> None:
    from harness.axes import resolve_setting
    from harness.models import resolve_model

    target = write_lora(tiny("sd"), tmp_path / "w.safetensors")
    planned = plan_cell(tiny("sd"), {"distillation": f"lora+weights={target}"})
    value, info = resolve_setting(planned.cell.setting("distillation")), resolve_model(planned.model).describe()
    before = value.fingerprint(info)
    assert before
    write_lora(tiny("sd"), target, size=0.4)
    assert value.fingerprint(info) != before
