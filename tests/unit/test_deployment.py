"""A deployed folder against the signed deployment of a cell: weights, adapters, settings."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from harness.checkpoints.digest import digest_files
from harness.core.errors import UsageError
from harness.models import shapes
from harness.models.bundled import Bundled
from harness.models.folder import LocalFolder
from harness.signing.contents import describe_deployment, hash_weights
from harness.signing.deployment import DEPLOYMENT, Deployed, check_deployment
from harness.signing.envelope import write_json
from harness.store import read_plan

UNET, LORA, CONFIG = b"unet weights", b"lora weights", b"{}"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def signed(cell: str = "4-steps", steps: str = "4") -> dict[str, Any]:
    return {
        "cell": cell,
        "settings": {"steps": steps, "distillation": "lcm-lora"},
        "model": {"title": "m", "digest": "d"},
        "weights": {"unet/model.safetensors": sha(UNET), "unet/config.json": sha(CONFIG)},
        "adapters": {"distillation": [sha(LORA)]},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model" / "unet").mkdir(parents=True)
    (tmp_path / "model" / "unet" / "model.safetensors").write_bytes(UNET)
    (tmp_path / "model" / "unet" / "config.json").write_bytes(CONFIG)
    (tmp_path / "any-name.safetensors").write_bytes(LORA)
    (tmp_path / DEPLOYMENT).write_bytes(write_json(signed()))
    return tmp_path


def check(folder: Path) -> Deployed:
    cells = (signed(), signed("8-steps", "8"))
    return check_deployment(folder, {f"deployments/{c['cell']}.json": write_json(c) for c in cells})


def kinds(found: Deployed) -> set[tuple[str, str]]:
    return {(refusal.kind, refusal.where) for refusal in found.refusals}


def test_signed_folder_is_found(folder: Path) -> None:
    assert check(folder) == ("4-steps", ())


@pytest.mark.parametrize(
    ("file", "data", "expected"),
    [
        ("model/unet/model.safetensors", b"other", ("weights", "model/unet/model.safetensors")),
        ("model/unet/model.safetensors", None, ("weights", "unet/model.safetensors")),
        ("model/unet/config.json", b"[]", ("weights", "model/unet/config.json")),
        ("model/unet/model.fp16.safetensors", b"more", ("weights", "model/unet/model.fp16.safetensors")),
        ("copy/unet/model.safetensors", b"other", ("weights", "copy/unet/model.safetensors")),
        ("any-name.safetensors", None, ("adapter", "distillation")),
        ("any-name.safetensors", b"other", ("adapter", "distillation")),
        (DEPLOYMENT, None, ("settings", DEPLOYMENT)),
        (DEPLOYMENT, b"steps = 4", ("settings", DEPLOYMENT)),
        (DEPLOYMENT, json.dumps(signed()).encode(), ("settings", DEPLOYMENT)),
        (DEPLOYMENT, write_json(signed(steps="5")), ("settings", "steps")),
        (DEPLOYMENT, write_json(signed("2-steps")), ("settings", DEPLOYMENT)),
    ],
)
def test_difference_is_named(folder: Path, file: str, data: bytes | None, expected: tuple[str, str]) -> None:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    assert expected in kinds(check(folder))


def test_missing_folder_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gone"):
        check(tmp_path / "gone")


def test_listed_files_are_those_of_the_digest() -> None:
    for source in (Bundled(), LocalFolder(path=shapes.PIPELINE)):
        assert digest_files(source.list_files()) == source.describe().digest


def test_lora_of_the_model_is_part_of_the_deployment() -> None:
    (run,) = (Path(__file__).parents[2] / "results" / "sample").iterdir()
    plan = read_plan(run)
    weights = hash_weights(plan, Bundled())
    plain, adapted = (
        json.loads(describe_deployment(plan, cell, weights)) for cell in ("4-steps_fp32", "4-steps_lcm-lora_fp32")
    )
    (lora,) = shapes.LCM_LORA.rglob("*.safetensors")
    assert adapted["adapters"] == {"distillation": [sha(lora.read_bytes())]}
    assert (plain["adapters"], plain["weights"]) == ({}, adapted["weights"])
    assert "unet/diffusion_pytorch_model.safetensors" in plain["weights"]
