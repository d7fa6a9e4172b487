"""Policies: the shipped ones, files with mistakes, and how a matrix names and extends one."""

import hashlib
from pathlib import Path

import pytest
from pydantic import ValidationError

from harness.core.errors import MatrixError, PolicyError, UsageError
from harness.core.policy import Policy, rule_words
from harness.core.rule import ABOUT, OF_A_METRIC, Quantity, Rule
from harness.matrix import load_matrix, load_policy, parse_policy, policy_names, policy_text

MATRIX = 'name = "m"\n{head}\n[axes]\nsteps = [50, 4]\n{tail}\n'


def matrix(folder: Path, head: str = "", tail: str = "", policy: str = "") -> Path:
    path = folder / "m.toml"
    path.write_text(MATRIX.format(head=head, tail=tail), encoding="utf-8")
    if policy:
        (folder / "signoff.toml").write_text(policy, encoding="utf-8")
    return path


def test_the_shipped_policies_are_these() -> None:
    assert policy_names() == ("five-percent", "mlperf", "mlperf-sdxl", "same-image", "sign-off", "strict", "survey")


@pytest.mark.parametrize("name", policy_names())
def test_shipped_policies_are_valid_and_documented(name: str) -> None:
    policy, text = load_policy(name), policy_text(name)
    assert policy.about
    assert policy.correction == ("none" if name == "survey" else "holm")  # a survey judges each cell by itself
    assert "What it answers" in text
    assert "When to use it" in text
    assert policy.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_default_policy_is_five_percent_of_each_metric() -> None:
    shipped = load_policy("five-percent")
    assert shipped.gate == Policy().gate == (Rule(quantity="loss", margin=0.05, level=0.95),)
    assert (shipped.name, shipped.correction) == (Policy().name, Policy().correction)
    assert load_policy("strict").gate == (Rule(margin=0.01),)
    assert load_policy("survey").gate == shipped.gate


def test_mlperf_policies_have_their_references() -> None:
    windows = {rule.metric: (rule.quantity, *rule.window) for rule in load_policy("mlperf").gate}
    assert windows == {"fid:mlperf": ("change", -0.02, 0.02), "clip:mlperf": ("change", -0.002, 0.002)}
    fixed = {rule.metric: rule.window for rule in load_policy("mlperf-sdxl").gate}
    assert fixed["fid:mlperf"] == pytest.approx((23.01085758, 23.95007626), abs=1e-8)
    assert fixed["clip:mlperf"] == pytest.approx((31.68631873, 31.81331801), abs=1e-8)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("margn = 0.05", 'gate.0.margn: unknown key. Did you mean "margin"?'),
        ('quantity = "los"\nmargin = 0.05', 'gate.0.quantity: unknown word "los". Did you mean "loss"?'),
        ('severity = "eror"\nmargin = 0.05', 'gate.0.severity: unknown word "eror". Did you mean "error"?'),
        (
            'metric = "fid:mlpref"\nmargin = 0.05',
            'gate.0.metric: unknown metric "fid:mlpref". Did you mean "fid:mlperf"?',
        ),
        ("margin = 5", "gate.0.margin: should be less than 1, got 5"),
        ("at_most = 0.05", "gate.0: a limit on loss is given by margin, got at_most"),
        ("", "gate.0: a limit on loss is given by margin, got none"),
        ('quantity = "speedup"\nmargin = 0.5', "a limit on speedup is given by at_least, got margin"),
        ('quantity = "speedup"\nat_least = 2\nmetric = "psnr"', "speedup has no metric"),
        ('quantity = "score"\nat_least = 2', "name the metric of score"),
        ('quantity = "score"\nmetric = "psnr"\nat_least = 3\nat_most = 2', "at_least must be smaller than at_most"),
        ('quantity = "score"\nmetric = "psnr"\ntarget = 0\nmargin = 0.1', "a target of 0 has no relative margin"),
        ('quantity = "score"\nmetric = "psnr"\ntarget = 30', "given by target with margin or at_most or at_least"),
        ('quantity = "broken-share"\nat_most = 0', "no number of images can prove 0"),
        ('quantity = "human-preference"\nat_least = 45', "0.45 means 45 %"),
        ('quantity = "timing-precision"\nat_most = 2', "timing-precision is a share: 0.02 means 2 %, got 2"),
        ("margin = 0.05\nlevel = 95", "gate.0.level: should be less than 1"),
        ("margin = 0.05\nwhere = 4", "gate.0.where: a glob on cell ids such as '*bf16*'"),
        ("margin = 0.05\nwhere = {}", "gate.0.where: a glob on cell ids such as '*bf16*'"),
        ("margin = 0.05\nwhere = {stepz = 4}", 'gate.0.where: unknown axis "stepz". Did you mean "steps"?'),
        ('margin = 0.05\nseverity = "warning"', "gate: every rule is a warning: nothing would ever fail"),
        ("margin = 0.05\n[[gate]]\nmargin = 0.1", "gate.1: on the same thing as gate.0"),
    ],
)
def test_policy_mistake_is_named_with_a_suggestion(rule: str, expected: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(f"[[gate]]\n{rule}\n", "p", "p.toml")
    assert expected in str(caught.value)
    assert "p.toml" in str(caught.value)
    assert "in the policy" in str(caught.value)
    assert caught.value.exit_code == 2


def test_all_mistakes_of_a_policy_are_reported_at_once() -> None:
    text = 'abuot = "x"\ncorrection = "bonferroni"\n[[gate]]\nmargin = 7\n[[gate]]\nquantity = "speed"\n'
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, "p")
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize("text", ["", 'about = "no rule"\n', "gate = []\n"])
def test_a_policy_without_a_rule_is_refused(text: str) -> None:
    with pytest.raises(PolicyError, match="gate"):
        parse_policy(text, "p")


def test_a_rule_made_in_python_is_checked_as_well() -> None:
    with pytest.raises(ValidationError, match="given by at_least"):
        Rule(quantity="speedup")


def test_unknown_policy_lists_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='unknown policy "strikt"') as caught:
        load_policy("strikt")
    assert 'Did you mean "strict"?' in str(caught.value)
    with pytest.raises(UsageError, match="cannot read the policy file"):
        load_policy("none.toml", tmp_path)


def test_policy_file_is_found_next_to_its_matrix(tmp_path: Path) -> None:
    text = '[[gate]]\nquantity = "speedup"\nat_least = 2\n'
    _, _, policy = load_matrix(matrix(tmp_path, 'policy = "signoff.toml"', policy=text))
    assert (policy.name, policy.sha256) == ("signoff", hashlib.sha256(text.encode()).hexdigest())


def test_rules_of_a_matrix_come_after_its_policys(tmp_path: Path) -> None:
    _, _, policy = load_matrix(matrix(tmp_path, tail="[[gate]]\nmargin = 0.03"))
    assert policy.gate == (Rule(margin=0.05), Rule(margin=0.03))
    assert policy.name == "five-percent with 1 rule of the matrix"


def test_a_policy_on_the_command_line_stands_alone(tmp_path: Path) -> None:
    _, _, policy = load_matrix(matrix(tmp_path, tail="[[gate]]\nmargin = 0.03"), "strict")
    assert (policy.name, policy.gate) == ("strict", (Rule(margin=0.01),))


def test_a_matrix_must_score_what_its_policy_judges(tmp_path: Path) -> None:
    with pytest.raises(MatrixError) as caught:
        load_matrix(matrix(tmp_path, 'policy = "mlperf"'))
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ['policy "mlperf"'] * 2
    assert '"fid:mlperf" is not measured: add it to quality.metrics' in str(caught.value)
    load_matrix(matrix(tmp_path, 'policy = "same-image"'))  # lpips without profile: whichever is scored


def test_a_matrix_must_measure_what_its_policy_judges(tmp_path: Path) -> None:
    with pytest.raises(MatrixError) as caught:
        load_matrix(matrix(tmp_path, 'policy = "sign-off"', "[measure]\nprecision = '3%'"))
    assert caught.value.problems == [
        'policy "sign-off": gate.1: timing-precision asks for 0.02: measure.precision is coarser, 0.03',
        'policy "sign-off": gate.2: traced-steps asks for a trace of every cell: set measure.trace = true',
    ]
    _, _, policy = load_matrix(matrix(tmp_path, 'policy = "sign-off"', "[measure]\ntrace = true"))
    assert [rule.quantity for rule in policy.gate if rule.severity == "warning"] == ["throttled-share"]
    with pytest.raises(MatrixError, match=r"gate\.0: image-cost asks for prices"):
        load_matrix(matrix(tmp_path, tail='[[gate]]\nquantity = "image-cost"\nat_most = 0.01'))


def test_policy_mistakes_name_the_policy_file(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"signoff\.toml"):
        load_matrix(matrix(tmp_path, 'policy = "signoff.toml"', policy="[[gate]]\nmargin = 2\n"))


@pytest.mark.parametrize("quantity", ABOUT)
def test_every_quantity_has_words(quantity: Quantity) -> None:
    rule = next(rule for rule in _one_of_each() if rule.quantity == quantity)
    assert quantity in rule_words(rule)
    assert (rule.metric != "") == (quantity in OF_A_METRIC)


def _one_of_each() -> tuple[Rule, ...]:
    text = (Path(__file__).parents[1] / "policy_every_quantity.toml").read_text(encoding="utf-8")
    return parse_policy(text, "every").gate
