"""Matrices that ship are known by name, from a checkout and from a wheel, and are copied to be edited."""

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import api
from harness.core.errors import UsageError
from harness.listing import weights
from harness.matrix import load, matrix_names
from harness.matrix.load import find_matrix
from tests.readme import ROOT

MATRICES = ROOT / "matrices"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_repository_matrices_are_known_by_name() -> None:
    assert matrix_names() == tuple(sorted(path.stem for path in MATRICES.glob("*.toml")))
    assert set(api.list_matrices()) == set(matrix_names())
    assert all(api.list_matrices().values())  # each says what it is about


def test_a_name_loads_the_shipped_matrix() -> None:
    assert api.load("quickstart") == api.load(MATRICES / "quickstart.toml")
    assert weights(("flux-dev",)) == weights((str(MATRICES / "flux-dev.toml"),))


def test_a_wheel_carries_the_matrices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert ROOT / included["matrices"] == load._PACKAGED
    packaged = shutil.copytree(MATRICES, tmp_path / "matrices")
    monkeypatch.setattr(load, "_PACKAGED", packaged)
    monkeypatch.setattr(load, "_REPOSITORY", tmp_path / "nowhere")
    assert find_matrix(Path("quickstart")) == packaged / "quickstart.toml"
    assert len(matrix_names()) == len(list(MATRICES.glob("*.toml")))


def test_a_copy_is_written_to_edit() -> None:
    assert api.write_matrix("sdxl") == Path("sdxl.toml")
    assert api.load("sdxl.toml").matrix == api.load("sdxl").matrix
    assert "matrices/" not in Path("sdxl.toml").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="exists already"):
        api.write_matrix("sdxl")
    assert api.write_matrix("sdxl", Path("sub/own.toml")).exists()


@pytest.mark.parametrize("use", [api.load, api.write_matrix])
def test_an_unknown_name_suggests_a_known_one(use: Callable[[str], object]) -> None:
    with pytest.raises(UsageError, match='no shipped matrix is called "quikstart"') as caught:
        use("quikstart")
    assert 'Did you mean "quickstart"?' in caught.value.fix


def test_a_missing_file_suggests_a_shipped_matrix() -> None:
    with pytest.raises(UsageError, match="cannot read the matrix file") as caught:
        api.load("quikstart.toml")
    assert 'Did you mean "quickstart"?' in caught.value.fix


def test_a_file_of_the_working_folder_comes_first(tmp_path: Path) -> None:
    Path("quickstart").write_text('name = "own"\naxes.steps = [4]\n', encoding="utf-8")
    assert api.load("quickstart").matrix.name == "own"


def test_a_run_is_found_by_its_shipped_matrix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "shipped").mkdir()
    own = tmp_path / "shipped" / "own.toml"
    own.write_text('name = "own"\nmodel = "fake"\naxes.steps = [4]\nprompts.limit = 4\n', encoding="utf-8")
    monkeypatch.setattr(load, "_PACKAGED", tmp_path / "shipped")
    run = api.open_run(api.load("own"))
    assert api.find(Path("own")) == run
