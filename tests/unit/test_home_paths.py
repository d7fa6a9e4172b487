"""`~` stands for the home folder wherever a path is taken, and an empty path is a mistake."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness import api
from harness.axes.distillation._weights import find_missing_file, find_weights
from harness.core.errors import MatrixError, UsageError
from harness.core.matrix import Prompts
from harness.core.parsing import expand_user
from harness.matrix import load_matrix, load_policy, parse_matrix
from harness.matrix.policy import policy_text
from harness.models import read_model, resolve_model
from harness.prompts import load_prompts
from harness.prompts.latent import describe_latent, read_latent

MATRIX = 'name = "m"\nmodel = "fake"\n{}\n[axes]\nsteps = [4]\n[baseline]\nsteps = 4\n'


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with one of everything, and another folder to be in."""
    (tmp_path / "home").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    home = tmp_path / "home"
    (home / "p.txt").write_text("a red circle\n")
    (home / "real").mkdir()
    (home / "w.safetensors").write_bytes(b"")
    (home / "own.toml").write_text(policy_text("survey"))
    (home / "m.toml").write_text(MATRIX.format(""))
    np.save(home / "noise.npy", np.zeros((1, 4, 8, 8), np.float32))
    return home


def test_home_paths_expand_for_all_kinds_of_files(home: Path) -> None:
    assert [prompt.text for prompt in load_prompts(Prompts(set="~/p.txt"))] == ["a red circle"]
    latent = describe_latent("~/noise.npy")
    assert latent.path == str(home / "noise.npy")
    assert read_latent(latent).shape == (4, 8, 8)
    assert load_policy("~/own.toml", Path("matrices")).name == "own"
    assert load_matrix(Path("~/m.toml"))[0].name == "m"
    assert api.load("~/m.toml").matrix.name == "m"


def test_a_matrix_may_name_paths_in_the_home_folder() -> None:
    text = MATRIX.format(
        'policy = "~/own.toml"\nprompts.set = "~/p.txt"\nprompts.latent = "~/noise.npy"\nquality.reference = "~/real"'
    )
    assert parse_matrix(text).prompts.set == "~/p.txt"
    with pytest.raises(MatrixError, match=r"no such file or folder: .*/home/none"):
        parse_matrix(MATRIX.format('quality.reference = "~/none"'))


def test_models_are_found_in_the_home_folder(home: Path, tiny: Callable[[str], Path]) -> None:
    from tests.tiny.original import write_original

    shutil.copytree(tiny("sd"), home / "sd")
    write_original(tiny("sd"), home / "sd.safetensors")
    assert resolve_model(read_model("~/sd")).describe().title == "sd"
    single = read_model({"source": "file", "path": "~/sd.safetensors", "config": "~/sd"})
    assert resolve_model(single).describe().family == "sd"


def test_adapters_are_found_in_the_home_folder(home: Path) -> None:
    assert find_weights("~/w.safetensors", ()) == home / "w.safetensors"
    assert find_weights("~", ("w.safetensors",)) == home / "w.safetensors"
    assert find_missing_file("~/w.safetensors", ()) is None


def test_results_lie_in_the_home_folder(home: Path) -> None:
    run = api.open_run(api.load("~/m.toml"), results=Path("~/results"))
    assert run.parent == home / "results"
    assert api.find(Path("~/m.toml"), Path("~/results")) == run
    assert api.find(Path(f"~/results/{run.name}")) == run
    assert api.find(Path("latest"), Path("~/results")) == run
    assert list(Path().iterdir()) == []


def test_a_home_that_is_not_known_is_a_plain_error() -> None:
    with pytest.raises(UsageError, match="home folder for ~ is unknown"):
        expand_user("~no-such-user-here/x")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('model = ""', "model: empty; name a model"),
        ('model = "  "', "model: empty; name a model"),
        ('model = {source = "folder", path = ""}', "model.path: empty; name a file or folder"),
        ('model = {source = "file", path = ""}', "model.path: empty; name a file or folder"),
        ('quality.reference = ""', "quality.reference: empty"),
    ],
)
def test_an_empty_path_is_a_mistake_with_its_key(line: str, said: str) -> None:
    text = MATRIX.format(line) if "model" not in line else MATRIX.replace('model = "fake"\n{}', line)
    with pytest.raises(MatrixError) as caught:
        parse_matrix(text)
    assert [problem for problem in caught.value.problems if problem.startswith(said)]


def test_empty_command_line_word_is_an_error() -> None:
    with pytest.raises(MatrixError, match="model: empty"):
        api.load("~/m.toml", model="")
    with pytest.raises(UsageError, match="unknown policy"):
        api.load("~/m.toml", policy="")


def test_a_linked_adapter_has_its_given_name(home: Path) -> None:
    """A snapshot of the Hub's cache is links to files that are named by their digest, without an ending."""
    blob = (home / "w.safetensors").rename(home / ("b" * 64))
    snapshot = home / "snapshot"
    snapshot.mkdir()
    (snapshot / "style.safetensors").symlink_to(blob)
    assert find_weights(str(snapshot / "style.safetensors"), ()).name == "style.safetensors"
    assert find_weights(str(snapshot), ("other.safetensors",)).name == "style.safetensors"
