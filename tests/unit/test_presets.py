"""Every matrix that ships begins with what it answers and needs, and is planned as on the machine it is meant for."""

import re
from pathlib import Path

import pytest

from harness import api
from harness.axes import collect_call_options, read_entry
from harness.core.machine import Gpu, Machine
from harness.core.model import ModelInfo
from harness.core.plan import Plan
from harness.core.units import Absent
from harness.execution.images import BATCH_PIXELS
from harness.models._configurations import read_configurations
from harness.models.hub import Hub
from harness.models.synthetic import Synthetic
from harness.planning.availability import find_memory_shortage
from harness.planning.resolve import resolve_cell, resolve_values
from tests.readme import ROOT

MATRICES = sorted((ROOT / "matrices").glob("*.toml"))
H200 = Gpu(name="H200", capability=(9, 0), memory_bytes=141 * 2**30, driver="1", cuda="13.0", power_limit_w=700.0)
PACKAGES = ("torch", "diffusers", "optimum-quanto", "torchao", "bitsandbytes", "onnx", "onnxscript", "onnxruntime",
            "onnxruntime-gpu", "openvino", "tensorrt")  # fmt: skip
NOT_HERE = re.compile("is not in the Hugging Face cache|needs an RTX|on a GPU|no GPU|for the CPU")
"""Reasons that are this test's own surroundings: adapters nobody downloaded, what a card has no use for."""


FREE_SHARE = 0.92
"""Of what a card's name promises in GB, in GiB: an L40S of 48 GB has 44.5 GiB."""


def comment_of(preset: Path) -> str:
    return "\n".join(
        line.removeprefix("#") for line in preset.read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    )


def free_bytes_of(preset: Path) -> int | None:
    """What is free on the smallest card that the comment of a matrix names."""
    found = re.search(r"(?:GPU|card)[^.;]*? with (\d+) GB", " ".join(comment_of(preset).replace("8.9", "").split()))
    return int(float(found[1]) * 2**30 * FREE_SHARE) if found else None


def machine(*gpus: Gpu) -> Machine:
    absent = Absent(absent="a test")
    facts = {"name": "h200", "cpu": "a processor", "cpu_cores": 16, "memory_bytes": 128 * 2**30, "os": "Linux"}
    return Machine(
        **facts, gpus=gpus, python="3.11", packages=dict.fromkeys(PACKAGES, "1"), git_commit=absent, git_dirty=absent
    )  # type: ignore[arg-type]


@pytest.fixture(params=MATRICES, ids=lambda path: path.stem)
def preset(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture
def plan(preset: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Plan:
    """The plan on a machine as the matrix wants it; what the Hub would tell is the shipped configuration."""
    ids = {known.id: name for name, known in read_configurations().items()}

    def describe(hub: Hub) -> ModelInfo:
        return Synthetic(name=ids[hub.id]).describe().model_copy(update={"quality_applies": True})

    loaded = api.load(preset)
    on_cpu = loaded.matrix.model.source == "bundled"
    monkeypatch.setattr(Hub, "describe", describe)
    monkeypatch.setattr(Hub, "verify", lambda hub: ())
    monkeypatch.setattr(Hub, "find_cut", lambda hub, texts: ())
    monkeypatch.setattr("harness.api.describe_machine", lambda: machine(*([] if on_cpu else [H200])))
    monkeypatch.setattr("harness.api.read_free_bytes", lambda device: free_bytes_of(preset))
    return api.plan(loaded, results=tmp_path)


def test_it_says_what_it_answers_and_needs(preset: Path) -> None:
    comment = comment_of(preset)
    assert re.match(r" What it answers: .+\?", comment, re.DOTALL)
    assert re.search(r"\n What it needs: .*(GB|GiB).*(minute|hour)", comment, re.DOTALL)
    assert f"harness bench matrices/{preset.name}" in comment or f"harness run matrices/{preset.name}" in comment


def test_all_its_cells_can_run_where_it_is_meant_to(plan: Plan) -> None:
    skipped = {planned.id: planned.skip for planned in plan.cells if planned.skip}
    assert {name: reason for name, reason in skipped.items() if not NOT_HERE.search(reason)} == {}
    assert len(plan.cells) > 3


def test_a_batch_of_its_images_fits_too(plan: Plan, preset: Path) -> None:
    free = free_bytes_of(preset)
    assert (free is None) == (not plan.machine.gpus)
    for planned in plan.cells:
        size = collect_call_options(resolve_values(planned.cell).values())
        batch = max(int(size["batch"]), int(BATCH_PIXELS[plan.machine.device] // (size["width"] * size["height"])))
        wish = {setting.axis: setting for setting in planned.cell.settings} | {"batch": read_entry("batch", batch)}
        cell = resolve_cell(wish, plan.model, plan.machine)
        assert find_memory_shortage(cell, plan.model, plan.machine, free) is None, planned.id


def test_baseline_is_a_cell_and_no_include_is_lost(plan: Plan) -> None:
    assert not [note for note in plan.notes if "was added" in note or note.startswith("include[")]
