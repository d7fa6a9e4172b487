"""Read policies, shipped or from files, and report every mistake at once."""

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from harness.axes import load_axes
from harness.core.catalog import did_you_mean
from harness.core.errors import PolicyError, UsageError
from harness.core.matrix import Matrix
from harness.core.parsing import expand_user, read_record, read_text, read_toml
from harness.core.policy import SEES, Policy, PolicyFile, Waiver
from harness.core.rule import ABOUT, OF_A_METRIC, Rule
from harness.metrics import list_metrics

_SHIPPED = files("harness.matrix") / "policies"


def policy_names() -> tuple[str, ...]:
    """Return the names of the policies that ship with the package."""
    return tuple(
        sorted(
            entry.name.removesuffix(".toml")
            for entry in _SHIPPED.iterdir()
            if entry.name[-5:] == ".toml"
        )
    )


def policy_text(name: str) -> str:
    """Return the file of a shipped policy; UsageError for an unknown name."""
    if name not in policy_names():
        fix = "A policy of your own is a file that ends in .toml."
        raise UsageError(
            f'unknown policy "{name}". {did_you_mean(name, policy_names())}', "policy", fix
        )
    return (_SHIPPED / f"{name}.toml").read_text(encoding="utf-8")


def load_policy(name: str, folder: Path = Path()) -> Policy:
    """Return a shipped policy by its name, or one of a .toml file, whose path is taken from the
    folder `folder`.

    Raises UsageError if there is no such policy or file, PolicyError with all mistakes the file
    holds.
    """
    if not name.endswith(".toml"):
        return parse_policy(policy_text(name), name, name)
    path = folder / expand_user(name)
    fix = f"Name a shipped policy ({', '.join(policy_names())}) or a file that exists."
    text = read_text(path, "policy file", fix, PolicyError)
    return parse_policy(text, path.stem, str(path))


def parse_policy(text: str, name: str, where: str = "policy") -> Policy:
    """Return the policy that TOML text describes; PolicyError with all mistakes, named by `where`
    and key."""
    document, problems = read_toml(text)
    if problems:
        raise PolicyError(problems, where)
    found, problems = read_record(PolicyFile, document)
    if "gate" not in document:
        problems.append(
            "gate: a policy needs at least one rule: [[gate]] with margin = 0.05, for example"
        )
    if found is not None:
        problems += rule_problems(found.gate, "gate")
        if all(rule.severity == "warning" for rule in found.gate):
            problems.append("gate: every rule is a warning: nothing would ever fail")
        problems += _waiver_problems(found)
        named = [str(wanted.damage) for wanted in found.sees]
        problems += [
            f'sees: "{damage}" stands there twice'
            for damage in dict.fromkeys(named)
            if named.count(damage) > 1
        ]
    if found is None or problems:
        raise PolicyError(problems, where)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return Policy(
        name=name, sha256=sha256, **{key: getattr(found, key) for key in PolicyFile.model_fields}
    )


def rule_problems(
    rules: Sequence[Rule], place: str, measured: Sequence[str] | None = None
) -> list[str]:
    """Return the mistakes of rules that types cannot see: metrics, axes, repetitions.

    `measured` are the metrics a matrix scores, where the rules are for one: a rule on any other
    could only be missing.
    """
    problems: list[str] = []
    axes = [axis.name for axis in load_axes()]
    seen: dict[tuple[object, ...], int] = {}
    for number, rule in enumerate(rules):
        key = f"{place}.{number}"
        problems += _metric_problems(rule, key, measured)
        if isinstance(rule.where, dict):
            problems += [f'{key}.where: unknown axis "{axis}". {did_you_mean(axis, axes)}'
                         for axis in rule.where if axis not in axes]  # fmt: skip
        what = (rule.quantity, rule.metric, rule.severity, repr(rule.where))
        if what in seen:
            problems.append(
                f"{key}: on the same thing as {place}.{seen[what]}; of the two only the last "
                "would decide"
            )
        seen.setdefault(what, number)
    return problems


def _waiver_problems(found: PolicyFile) -> list[str]:
    """Return the mistakes of waivers: an unknown quantity or metric, or two of one rule."""
    problems: list[str] = []
    seen: dict[tuple[str, str], int] = {}
    for number, waiver in enumerate(found.waive):
        key = f"waive.{number}"
        problems += [f"{key}.rule: {mistake}" for mistake in _name_mistakes(waiver)]
        if (what := (waiver.cell, waiver.rule)) in seen:
            problems.append(f"{key}: on the same rule and cell as waive.{seen[what]}")
        seen.setdefault(what, number)
    return problems


def _name_mistakes(waiver: Waiver) -> list[str]:
    known, metrics = [*ABOUT, SEES], list_metrics()
    if waiver.quantity not in known:
        return [f'unknown quantity "{waiver.quantity}". {did_you_mean(waiver.quantity, known)}']
    if waiver.metric and waiver.quantity not in OF_A_METRIC:
        return [f'{waiver.quantity} has no metric: write rule = "{waiver.quantity}"']
    if not any(waiver.covers(waiver.cell, waiver.quantity, metric) for metric in metrics):
        return [f'unknown metric "{waiver.metric}". {did_you_mean(waiver.metric, metrics)}']
    return []


def unmeasured(rules: Sequence[Rule], place: str, matrix: Matrix) -> list[str]:
    """Return a line for each rule that no cell of a matrix could pass, for it does not have
    measured what it judges."""
    measure, prices = matrix.measure, matrix.prices
    problems = []
    for number, rule in enumerate(rules):
        if rule.severity == "warning":
            continue
        key = f"{place}.{number}: {rule.quantity}"
        if rule.quantity == "traced-steps" and not measure.trace:
            problems.append(f"{key} asks for a trace of every cell: set measure.trace = true")
        if rule.quantity == "image-cost" and not prices.per_hour and prices.per_kwh is None:
            problems.append(
                f"{key} asks for prices: set prices.per_hour = {{ '*H100*' = 2.5 }}, for example"
            )
        if rule.quantity == "timing-precision" and measure.precision > (rule.at_most or 0):
            problems.append(
                f"{key} asks for {rule.at_most:.3g}: measure.precision is coarser, "
                f"{measure.precision:.3g}"
            )
    return problems


def _metric_problems(rule: Rule, key: str, measured: Sequence[str] | None) -> list[str]:
    known = list_metrics()
    if not rule.metric:
        return []
    if not any(rule.names(metric) for metric in known):
        return [f'{key}.metric: unknown metric "{rule.metric}". {did_you_mean(rule.metric, known)}']
    if measured is not None and not any(rule.names(metric) for metric in measured):
        return [
            f'{key}.metric: "{rule.metric}" is not measured: add it to quality.metrics '
            f"({', '.join(measured)})"
        ]
    return []
