"""How a matrix names its model: one word or a table, in the file or as --model."""

from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import MatrixError, UsageError
from harness.core.matrix import Model
from harness.matrix import load_matrix, parse_matrix
from harness.models import read_model

BODY = 'name = "m"\n{}\n[axes]\nsteps = [4]\n'
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sdxl").mkdir()
    (tmp_path / "models" / "sdxl").mkdir(parents=True)
    (tmp_path / "bundled").mkdir()
    (tmp_path / "x.safetensors").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("word", "source", "options"),
    [
        ("bundled", "bundled", {}),  # a name comes before a folder that happens to be called so
        ("./bundled", "folder", {"path": "./bundled"}),
        ("sdxl", "folder", {"path": "sdxl"}),
        ("models/sdxl", "folder", {"path": "models/sdxl"}),  # a folder that is here comes before a hub id
        ("models/none", "hub", {"id": "models/none"}),
        ("some/models/none", "folder", {"path": "some/models/none"}),
        ("/models/none", "folder", {"path": "/models/none"}),
        ("../none", "folder", {"path": "../none"}),
        ("~/none", "folder", {"path": "~/none"}),
        ("x.safetensors", "file", {"path": "x.safetensors"}),
        ("some/none.safetensors", "file", {"path": "some/none.safetensors"}),
        (f"owner/na.me-1@{COMMIT}", "hub", {"id": "owner/na.me-1", "revision": COMMIT}),
        ("owner/name@refs/pr/4", "hub", {"id": "owner/name", "revision": "refs/pr/4"}),
    ],
)
def test_a_word_is_a_name_a_path_or_a_hub_id(word: str, source: str, options: dict[str, Any]) -> None:
    assert read_model(word) == Model(source=source, options=options)


def test_a_table_has_a_source_and_its_keys() -> None:
    assert read_model({"source": "folder", "path": "x"}) == Model(source="folder", options={"path": "x"})


@pytest.mark.parametrize(
    ("entry", "said"),
    [("bundeld", 'Did you mean "bundled"?'), (5, "not 5"), ({"path": "x"}, 'needs a key "source"')],
)
def test_what_is_no_model_is_a_plain_error(entry: object, said: str) -> None:
    with pytest.raises(UsageError, match=r"model|table|word") as caught:
        read_model(entry)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('model = "bundeld"', 'model: unknown model "bundeld". Did you mean "bundled"?'),
        ("model = 5", "model: must be a word or a table"),
        ('model = "folder"', "model.path: this key is required"),
        ('model = {source = "fake", stepz = 1}', 'model.stepz: "fake" has no such key. Did you mean "step_s"?'),
    ],
)
def test_model_mistakes_are_listed_with_the_others(line: str, said: str) -> None:
    with pytest.raises(MatrixError) as caught:
        parse_matrix(BODY.format(line).replace("steps", "stepz"))
    assert [problem for problem in caught.value.problems if said in problem]
    assert [problem for problem in caught.value.problems if "unknown axis" in problem]


def test_one_toml_line_names_a_folder(here: Path) -> None:
    matrix = here / "m.toml"
    matrix.write_text(BODY.format('model = "./sdxl"'), encoding="utf-8")
    assert load_matrix(matrix)[0].model == Model(source="folder", options={"path": "./sdxl"})
    assert load_matrix(matrix, model="fake")[0].model == Model(source="fake")
    with pytest.raises(MatrixError, match="unknown model"):
        load_matrix(matrix, model="fakee")
