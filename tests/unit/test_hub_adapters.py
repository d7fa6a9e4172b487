"""Adapters of a hub: the plan tells what is fetched, a run fetches it once, and what cannot be had is a reason."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import api, finding
from harness.checkpoints.hub import fetch_published
from harness.core.errors import MachineError
from harness.core.plan import Plan
from harness.store import read_outcomes, read_plan
from tests.builders.hub_server import FakeHub, point_at, serve
from tests.builders.lora_on_the_spot import write_lora

REPO = "ByteDance/SDXL-Lightning"
FOUR, EIGHT = (f"sdxl_lightning_{steps}step_lora.safetensors" for steps in (4, 8))
MATRIX = """
name = "adapters"
model = "{model}"
[axes]
resolution = ["32x32"]
distillation = {adapters}
[baseline]
steps = 1
resolution = "32x32"
[prompts]
set = "{words}"
[measure]
min_s = 0
max_s = 0.1
[quality]
metrics = ["psnr"]
rerun_prompts = 2
"""
BOTH = ("sdxl-lightning", "sdxl-lightning+steps=8")


@pytest.fixture(scope="module")
def loras(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Adapters of different content: of equal files the Hub's cache keeps one."""
    root = tmp_path_factory.mktemp("lora")
    return {name: write_lora(tiny("sdxl"), root / name, size=size) for name, size in ((FOUR, 0.2), (EIGHT, 0.3))}


@pytest.fixture
def hub(loras: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub that has the adapters of 4 and 8 steps and nothing else, and an empty cache."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for name, lora in loras.items():
        (folder / name).symlink_to(lora)
    with serve(FakeHub(REPO, folder)) as served:
        point_at(served, tmp_path / "cache", monkeypatch)
        yield served


@pytest.fixture
def matrix(tiny: Callable[[str], Path], tmp_path: Path) -> Callable[..., api.LoadedMatrix]:
    """Return a function from adapters to a matrix of a tiny SDXL with them."""

    def load(*adapters: str, model: str = "sdxl") -> api.LoadedMatrix:
        words, path = tmp_path / "words.txt", tmp_path / "m.toml"
        words.write_text("a red circle\n", encoding="utf-8")
        path.write_text(
            MATRIX.format(model=tiny(model), words=words, adapters=list(adapters or BOTH)), encoding="utf-8"
        )
        return api.load(path)

    return load


Load = Callable[..., api.LoadedMatrix]


def reasons(plan: Plan) -> list[str]:
    return [planned.skip for planned in plan.cells if planned.skip]


def reason(plan: Plan) -> str:
    (one,) = reasons(plan)
    return one


def test_plan_counts_adapter_downloads_once(hub: FakeHub, matrix: Load, loras: dict[str, Path]) -> None:
    decided = api.plan(matrix())
    size = loras[FOUR].stat().st_size
    assert reasons(decided) == []
    assert {(file.file, file.size_bytes) for file in decided.downloads} == {(FOUR, size), (EIGHT, size)}
    (note,) = [note for note in decided.notes if "before the first cell" in note]
    assert f"2 files, {2 * size / 2**10:.0f} KiB: {FOUR} of {REPO}, {EIGHT} of {REPO}" in note
    assert [what for _, what in hub.requests] == [f"api/models/{REPO}/revision/main"]


def test_cells_that_are_not_selected_fetch_nothing(hub: FakeHub, matrix: Load) -> None:
    chosen = api.plan(matrix(), select=("8-steps*",))
    assert [file.file for file in chosen.downloads] == [EIGHT]
    assert not [note for note in chosen.notes if FOUR in note]


def test_adapter_is_fetched_once_before_the_first_cell(hub: FakeHub, matrix: Load, tmp_path: Path) -> None:
    loaded = matrix("sdxl-lightning")
    run = api.open_run(loaded, results=tmp_path / "results")
    assert hub.transferred() == [FOUR]
    assert not read_plan(run).downloads
    hub.requests.clear()
    hub.down = True
    assert api.open_run(loaded, results=tmp_path / "results") == run
    api.continue_run(run, inline=True)
    outcomes = read_outcomes(run)
    assert {outcome.status for outcome in outcomes.values()} == {"completed"}
    assert [cell_id for cell_id in outcomes if "sdxl-lightning" in cell_id]
    assert hub.requests == []


def test_what_was_fetched_is_checked_against_the_model(
    hub: FakeHub, matrix: Load, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    (hub.folder / FOUR).unlink()
    write_lora(tiny("sd"), hub.folder / FOUR)
    loaded = matrix("sdxl-lightning")
    assert reasons(api.plan(loaded)) == []
    decided = read_plan(api.open_run(loaded, results=tmp_path / "results"))
    assert f"{FOUR} does not fit the sdxl" in reason(decided)


def test_nothing_is_fetched_for_a_cell_that_cannot_run(hub: FakeHub, matrix: Load) -> None:
    entry = f"lora+weights={REPO}+weight_name={FOUR}+timesteps=999-500"
    assert "takes no timesteps" in reason(api.plan(matrix(entry, model="flux")))
    assert "no such weights are published" in reason(api.plan(matrix("dmd2", model="flux")))
    assert hub.requests == []


def test_missing_adapter_file_lists_existing_ones(hub: FakeHub, matrix: Load) -> None:
    (hub.folder / EIGHT).unlink()
    said = reason(api.plan(matrix()))
    assert f"huggingface.co/{REPO} has no {EIGHT}; it has {FOUR}" in said
    said = reason(api.plan(matrix(f"lora+weights={REPO}")))
    assert f"has no pytorch_lora_weights.safetensors; it has {FOUR}: set weights and weight_name" in said


def test_gated_or_absent_repository_is_a_reason(hub: FakeHub, matrix: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.gated = True
    said = reason(api.plan(matrix("sdxl-lightning")))
    assert "this model is gated" in said
    assert f"{hub.endpoint}/{REPO}" in said
    monkeypatch.setenv("HF_TOKEN", "right")
    assert reasons(api.plan(matrix("sdxl-lightning"))) == []
    assert "does not exist on the Hugging Face Hub" in reason(api.plan(matrix("lora+weights=owner/nothing")))


def test_offline_reason_is_the_download_command(hub: FakeHub, matrix: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.down = True
    command = f"get it with `hf download {REPO} {FOUR}`, or name a file with weights"
    assert any(command in said and "answers 503" in said for said in reasons(api.plan(matrix())))
    hub.requests.clear()
    assert len(reasons(api.plan(matrix("sdxl-lightning", "dmd2", "hyper-sd")))) == 3
    assert len(hub.requests) == 1
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    hub.requests.clear()
    said = reason(api.plan(matrix("sdxl-lightning")))
    assert f"{FOUR} of huggingface.co/{REPO} is not in the Hugging Face cache, and HF_HUB_OFFLINE is set" in said
    assert command in said
    assert hub.requests == []


@pytest.mark.parametrize("first", [(), ("sdxl-lightning",)], ids=["empty cache", "another file is here"])
def test_broken_download_is_one_error_and_resumes(
    first: tuple[str, ...], hub: FakeHub, matrix: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    for adapter in first:
        api.open_run(matrix(adapter), results=results)

    def cut(files: object) -> None:
        hub.down = True
        fetch_published(files)  # type: ignore[arg-type]

    loaded = matrix(BOTH[1])
    with monkeypatch.context() as patch:
        patch.setattr(finding, "fetch_published", cut)
        with pytest.raises(MachineError, match=f"the download of {EIGHT} broke off") as caught:
            api.open_run(loaded, results=results)
    assert "Run the same command again" in caught.value.fix
    hub.down = False
    run = api.open_run(loaded, results=results)
    assert reasons(read_plan(run)) == []
    assert hub.transferred().count(EIGHT) == 1


def test_run_without_adapter_is_not_reused_with_it(hub: FakeHub, matrix: Load, tmp_path: Path) -> None:
    loaded, results = matrix("sdxl-lightning"), tmp_path / "results"
    hub.down = True
    without = api.open_run(loaded, results=results)
    assert len(reasons(read_plan(without))) == 1
    assert api.open_run(loaded, results=results) == without
    hub.down = False
    run = api.open_run(loaded, results=results)
    assert run != without
    assert reasons(read_plan(run)) == []


def test_full_cache_is_reported_before_the_download(
    hub: FakeHub, matrix: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    with pytest.raises(MachineError, match=f"of {REPO} do not fit"):
        api.open_run(matrix(), results=tmp_path / "results")
    assert hub.transferred() == []


def test_the_list_of_axes_asks_nobody(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def here() -> dict[str, str]:
        return {row["value"]: row["here"] for row in api.list_axes(("distillation",))}

    assert here()["sdxl-lightning"] == "fetched on first use"
    assert here()["lcm-lora"] == "yes"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in here()["sdxl-lightning"]
    assert hub.requests == []
