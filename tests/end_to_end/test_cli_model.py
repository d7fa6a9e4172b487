"""Whatever a model is named by, the plan tells of it without torch, and without a network where all is here."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builders.hub_server import FakeHub, serve
from tests.end_to_end.test_cli import BLOCKED

MATRIX = 'name = "m"\nmodel = "nowhere"\n[axes]\nsteps = [4]\n[prompts]\nset = "shapes"\nlimit = 4\n'
ID = "owner/tiny-sd"


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that plans a matrix with another model than its own, torch blocked from import."""
    (tmp_path / "m.toml").write_text(MATRIX, encoding="utf-8")

    def planned(model: str, **variables: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", BLOCKED, "plan", "m.toml", "--model", model]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "XDG_"))}
        environment = {**kept, "NO_PROXY": "127.0.0.1", "HF_HOME": str(tmp_path / "cache"), **variables}
        return subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return planned


def test_a_folder_and_an_unknown_name(
    plan: Callable[..., subprocess.CompletedProcess[str]], tiny: Callable[[str], Path]
) -> None:
    answer = plan(str(tiny("sd")))
    assert answer.returncode == 0, answer.stderr
    assert "50-steps_fp32" in answer.stdout
    wrong = plan("bundeld")
    assert wrong.returncode == 2
    assert 'Did you mean "bundled"?' in wrong.stderr


def test_a_hub_id_online_offline_and_never_seen(
    plan: Callable[..., subprocess.CompletedProcess[str]], tiny: Callable[[str], Path]
) -> None:
    with serve(FakeHub(ID, tiny("sd"))) as hub:
        online = plan(ID, HF_ENDPOINT=hub.endpoint)
    assert online.returncode == 0, online.stderr
    assert "download before the first cell: " in online.stdout
    assert "is not pinned" in online.stdout
    offline = plan(ID, HF_HUB_OFFLINE="1")
    assert offline.returncode == 4
    assert "unet/diffusion_pytorch_model.safetensors" in offline.stderr
    assert f"hf download {ID} " in offline.stderr
    never = plan("owner/never-seen", HF_HUB_OFFLINE="1")
    assert never.returncode == 4
    assert "none of its files" in never.stderr
    assert "Traceback" not in offline.stderr + never.stderr
