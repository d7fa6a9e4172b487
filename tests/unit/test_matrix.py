"""Matrix files: what they mean, and every mistake named at once."""

import json
import re
from pathlib import Path

import pytest

from harness import api
from harness.core.errors import MatrixError, UsageError
from harness.core.matrix import Prompts
from harness.matrix import expand, json_schema, load_matrix, matches, merge_notes, parse_matrix
from harness.prompts import load_prompts

ROOT = Path(__file__).parents[2]


def matrix(body: str, head: str = 'name = "m"\n') -> str:
    return head + body


def ids(text: str) -> list[str]:
    return [" ".join(f"{axis}={setting}" for axis, setting in wish.items()) for wish in expand(parse_matrix(text))]


def test_axes_are_multiplied_in_the_order_of_the_file() -> None:
    text = matrix('[axes]\nsteps = [50, 4]\nprecision = ["fp32", "bf16"]\n')
    assert ids(text) == [
        "steps=50 precision=fp32",
        "steps=50 precision=bf16",
        "steps=4 precision=fp32",
        "steps=4 precision=bf16",
    ]


def test_exclude_removes_every_combination_that_agrees() -> None:
    text = matrix('[axes]\nsteps = [50, 4]\nprecision = ["fp32", "bf16"]\n[[exclude]]\nsteps = 4\nprecision = "bf16"\n')
    assert "steps=4 precision=bf16" not in ids(text)
    assert len(ids(text)) == 3


def test_include_extends_cells_or_adds_one() -> None:
    base = "[axes]\nsteps = [50, 4]\n"
    extended = matrix(base + '[[include]]\nsteps = 4\ndistillation = "lcm-lora"\n')
    assert ids(extended) == ["steps=50", "steps=4 distillation=lcm-lora"]
    added = matrix(base + '[[include]]\nsteps = 2\ndistillation = "lcm-lora"\n')
    assert ids(added) == ["steps=50", "steps=4", "steps=2 distillation=lcm-lora"]
    everywhere = matrix(base + '[[include]]\nprecision = "bf16"\n')
    assert ids(everywhere) == ["steps=50 precision=bf16", "steps=4 precision=bf16"]


def test_include_that_only_overwrites_is_named(
    tmp_path: Path,
) -> None:
    base = "[axes]\nsteps = [50, 4]\n"
    lcm, hyper = (f'[[include]]\nsteps = 4\ndistillation = "{name}"\n' for name in ("lcm-lora", "hyper-sd"))
    advice = "in steps=4: to add a cell, name distillation in [axes]"
    notes = merge_notes(parse_matrix(matrix(base + lcm + hyper)))
    assert notes == [
        f"include[0] adds no cell. It sets distillation lcm-lora {advice}",
        f"include[1] adds no cell. It sets distillation hyper-sd {advice}",
        "include[1] overwrites include[0]: distillation is hyper-sd, not lcm-lora, in steps=4",
    ]
    text = matrix(base + lcm + hyper)
    assert set(notes) <= set(api.plan(api.LoadedMatrix(parse_matrix(text), text), results=tmp_path).notes)
    assert merge_notes(parse_matrix(matrix(base + 'distillation = ["none"]\n' + lcm + hyper))) == []
    assert merge_notes(parse_matrix(matrix(base + lcm.replace("4", "2")))) == []


def test_options_are_read_from_tables_and_words_alike() -> None:
    word = matrix('[axes]\ncompiler = ["inductor+mode=max-autotune"]\n')
    table = matrix('[axes]\ncompiler = [{name = "inductor", mode = "max-autotune"}]\n')
    assert ids(word) == ids(table) == ["compiler=inductor+mode=max-autotune"]


def test_default_options_make_no_other_cell() -> None:
    assert ids(matrix('[axes]\ncompiler = ["inductor+mode=default"]\n')) == ["compiler=inductor"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("[axes]\nstepz = [50]\n", 'axes.stepz: unknown axis "stepz". Did you mean "steps"?'),
        ('[axes]\nprecision = ["fb16"]\n', 'axes.precision: unknown precision "fb16". Did you mean "fp16"?'),
        ('[axes]\nsteps = ["many"]\n', "axes.steps: steps"),
        ("[axes]\nsteps = [true]\n", "axes.steps: true/false"),
        ('[axes]\ncompiler = ["inductor+mod=x"]\n', 'has no option "mod"'),
        ('[axes]\ncompiler = ["inductor+mode=x"]\n', "mode:"),
        ("[axes]\nsteps = []\n", "axes.steps: empty"),
        ("[axes]\n", "axes: empty"),
        ("[axes]\nsteps = [4, 4]\n", "axes.steps: 4 stands there twice"),
        ('[axes]\nsteps = [4]\n[[exclude]]\nprecison = "x"\n', 'exclude[0].precison: unknown axis "precison"'),
        ("[axes]\nsteps = [4]\n[[exclude]]\nsteps = 4\n", "everything is excluded"),
        ('[axes]\nsteps = [4]\n[baseline]\nprecision = "fp64"\n', "baseline.precision: unknown"),
        ('[axes]\nsteps = [4]\n[quality]\nmetrics = ["fid:bundeld"]\n', "quality.metrics"),
        ("[axes]\nsteps = [4]\n[quality]\nmetrics = []\n", "quality.metrics: empty"),
        ('[axes]\nsteps = [4]\n[prompts]\nset = "shape"\n', "prompts.set: unknown prompt set"),
        ('[axes]\nsteps = [4]\n[model]\nsource = "bundeld"\n', 'Did you mean "bundled"?'),
        ('[axes]\nsteps = [4]\n[model]\nsource = "fake"\nstepz = 1\n', "model.stepz"),
        ("[axes]\nsteps = [4]\n[measure]\nmax_s = 0\n", "measure.max_s"),
        ("[axes]\nsteps = [4]\n[measure]\nmin_s = 9\nmax_s = 5\n", "measure: min_s = 9 is more than max_s = 5"),
        ("[axes]\nsteps = [4]\n[measure]\nwarmups = 1\n", 'measure.warmups: unknown key. Did you mean "warmup"?'),
        ('[axes]\nsteps = [4]\n[[gate]]\nmargin = "5 %"\n', "gate.0.margin"),
        ("[axes]\nsteps = [4]\n[gate]\nmargin = 0.03\n", "write [[gate]], not [gate]"),
        ("[axes]\nsteps = [4]\n[[gate]]\nmargn = 0.03\n", 'gate.0.margn: unknown key. Did you mean "margin"?'),
        ('[axes]\nsteps = [4]\n[[gate]]\nmetric = "fid:mlperf"\nmargin = 0.1\n', '"fid:mlperf" is not measured'),
    ],
)
def test_mistake_is_named_with_key_and_suggestion(body: str, expected: str) -> None:
    with pytest.raises(MatrixError) as caught:
        parse_matrix(matrix(body), "m.toml")
    assert expected in str(caught.value)
    assert "m.toml" in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("seeds", ["[]", "[0, 0]", "[-1]", '["a"]'])
def test_seeds_are_distinct_whole_numbers(seeds: str) -> None:
    with pytest.raises(MatrixError, match="seeds"):
        parse_matrix(f'name = "m"\nseeds = {seeds}\n[axes]\nsteps = [4]\n')


def test_all_mistakes_are_reported_at_once() -> None:
    text = 'name = "m"\nnmae = 1\n[axes]\nstepz = [50]\nprecision = ["fb16"]\n[measure]\nmax_s = 0\n'
    with pytest.raises(MatrixError) as caught:
        parse_matrix(text)
    assert len(caught.value.problems) == 4


def test_invalid_toml_is_refused_with_its_line() -> None:
    with pytest.raises(MatrixError, match="line 2"):
        parse_matrix('name = "m"\n[axes\n')


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the matrix file"):
        load_matrix(tmp_path / "none.toml")


def test_a_newer_matrix_schema_is_refused() -> None:
    with pytest.raises(MatrixError, match="schema_version"):
        parse_matrix('schema_version = 2\nname = "m"\n[axes]\nsteps = [4]\n')


def test_select_takes_globs() -> None:
    assert matches("4-steps_fp8", ("*fp8*",))
    assert matches("4-steps_fp8", ())
    assert not matches("4-steps_fp8", ("8-*", "*bf16"))


def test_schema_file_is_the_generated_one() -> None:
    stored = (ROOT / "matrices" / "schema.json").read_text(encoding="utf-8")
    assert stored == json_schema(), "run: harness schema > matrices/schema.json"
    json.loads(stored)


@pytest.mark.parametrize("path", sorted((ROOT / "matrices").glob("*.toml")), ids=lambda path: path.name)
def test_shipped_matrices_are_valid_and_documented(path: Path) -> None:
    loaded, text, _ = load_matrix(path)
    assert expand(loaded)
    assert "What it answers" in text
    assert "What it needs" in text


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "bom.toml"
    file.write_text("\ufeff" + matrix("[axes]\nsteps = [4]\n"), encoding="utf-8")
    assert load_matrix(file)[0].axes == {"steps": (4,)}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("axes.steps = 50", "axes.steps: should be a list, such as [50], got 50"),
        ("axes = 5", "axes: should be a table, such as [axes] with its keys below, got 5"),
        ("axes.steps = [4]\nseeds = [1.5]", "seeds.0: should be a whole number, got 1.5"),
        ("axes.steps = [4]\nexclude = [5]", "exclude.0: should be a table, such as { key = value }, got 5"),
        ("axes.steps = [4]\ngate = 5", "gate: a list of tables is meant: write [[gate]], not [gate]"),
        ("axes.steps = [4]\nquality.metrics = { a = 1 }", "should be a list, such as […], got { a = 1 }"),
        ("axes.steps = [4]\nmeasure.trace = 'x'", 'measure.trace: should be true or false, got "x"'),
        ("axes.steps = [4]\nmeasure.max_s = inf", "measure.max_s: should be a finite number, got inf"),
        ("axes.steps = [4]\nabout = 2026-01-01", "about: should be text in quotation marks, got 2026-01-01"),
        ("axes.compiler = [{ name = 'inductor', cache = 'x' }]", 'cache: should be true or false, got "x"'),
    ],
)
def test_mistakes_are_told_in_words_of_toml(body: str, said: str) -> None:
    with pytest.raises(MatrixError) as caught:
        parse_matrix('name = "a"\n' + body)
    assert said in str(caught.value)
    assert not re.search("tuple|dict|None|input should", str(caught.value))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("[axes]\nsteps = [[1]]\n", "axes.steps.0: a name, a number or a table"),
        (f"[axes]\nsteps = [{'9' * 5000}]\n", "not TOML"),
        ("[axes]\nsteps = [4]\n[measure]\ntimeout_s = inf\n", "measure.timeout_s"),
        ('[axes]\nsteps = [4]\n[quality]\nmetrics = ["psnr", "psnr"]\n', "a metric stands there twice"),
        ('[axes]\nsteps = [4]\n[model]\nsource = "fake"\nstep_s = "x"\n', 'model.step_s: should be a number, got "x"'),
        (f'[axes]\nsteps = [4]\n[prompts]\nset = "{"a" * 5000}"\n', "prompts.set: unknown prompt set"),
    ],
)
def test_odd_values_are_one_plain_mistake_each(body: str, said: str) -> None:
    with pytest.raises(MatrixError) as caught:
        parse_matrix(matrix(body))
    assert len(caught.value.problems) == 1
    assert said in caught.value.problems[0]


def test_a_name_too_long_for_a_folder_is_refused() -> None:
    with pytest.raises(MatrixError) as caught:
        parse_matrix(f'name = "{"n" * 300}"\naxes.steps = [4]')
    assert caught.value.problems[0].startswith("name: takes at most 100 characters, got ")


def test_prompts_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        load_prompts(Prompts(set=str(tmp_path / "prompts.txt")))


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ("[measure]\nwarmup = true", "measure.warmup"),
        ("[measure]\nprecision = true", "measure.precision"),
        ("[measure]\nmin_s = false", "measure.min_s"),
        ("[prices]\nper_kwh = true", "prices.per_kwh"),
        ('[prices.per_hour]\n"A*" = true', "prices.per_hour.A*"),
        ('[[gate]]\nmetric = "psnr"\nmargin = true', "gate.0.margin"),
        ('[model]\nsource = "fake"\nstep_s = true', "model.step_s"),
        ('[[include]]\ndistillation = { name = "lora", weights = "x", scale = true }', "include[0].distillation"),
        ('[[include]]\ndistillation = { name = "hyper-sd", steps = true }', "include[0].distillation"),
        ('[[include]]\nscheduler = "ddim+eta"', "include[0].scheduler"),
    ],
)
def test_a_boolean_is_no_number(body: str, key: str) -> None:
    with pytest.raises(MatrixError) as caught:
        parse_matrix(matrix(f"[axes]\nsteps = [4]\n{body}\n"))
    (problem,) = caught.value.problems
    assert problem.startswith(f"{key}: ")
    assert "number, got" in problem


def test_a_boolean_among_seeds_is_no_number() -> None:
    with pytest.raises(MatrixError) as caught:
        parse_matrix('name = "m"\nseeds = [0, true]\n[axes]\nsteps = [4]\n')
    assert caught.value.problems == ["seeds.1: should be a whole number, got true"]


def test_booleans_stay_where_they_belong() -> None:
    found = parse_matrix(matrix('[axes]\nscheduler = ["ddim+trailing"]\n[measure]\ntrace = true\n'))
    assert found.measure.trace
