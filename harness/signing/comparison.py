"""Whether a judgement that was made again agrees with the signed one."""

import math
from collections.abc import Iterator

from harness.core.verdict import CellVerdict, Judgement, RuleVerdict
from harness.signing.refusal import Refusal

_TOLERANCE = 1e-6
"""Relative: another machine's arithmetic may differ in the last digits."""


def compare_judgements(signed: Judgement, again: Judgement) -> tuple[Refusal, ...]:
    """Return a refusal for each cell whose verdict or figures differ."""
    first, second = ({v.cell_id: v for v in one.cells} for one in (signed, again))
    return tuple(
        Refusal(kind="verdict", where=cell_id, what=what)
        for cell_id in dict.fromkeys((*first, *second))
        if (what := _compare(first.get(cell_id), second.get(cell_id)))
    )


def _compare(signed: CellVerdict | None, again: CellVerdict | None) -> str:
    """Return the first difference of two verdicts, or ''."""
    if signed is None or again is None:
        return (
            "has no verdict in the bundle" if signed is None else "judging again gives no verdict"
        )
    if signed.result != again.result:
        return f"{signed.result} was signed, judging again gives {again.result}: {again.reason}"
    if signed.waivers != again.waivers:
        return "other waivers were needed when judging again"
    if signed.blind_to != again.blind_to or len(signed.rules) != len(again.rules):
        return "judging again applies other rules or damages"
    pairs = zip(signed.rules, again.rules, strict=True)
    return next((what for one, other in pairs for what in _compare_rules(one, other)), "")


def _compare_rules(signed: RuleVerdict, again: RuleVerdict) -> Iterator[str]:
    name = f"{signed.rule.quantity} {signed.metric}".strip()
    if (signed.rule, signed.metric, signed.result) != (again.rule, again.metric, again.result):
        yield f"{name} was signed as {signed.result}, judging again gives {again.result}"
    for figure in ("observed", "lower", "upper", "p_value", "level", "prompts"):
        mine, theirs = getattr(signed, figure), getattr(again, figure)
        if not _is_same(mine, theirs):
            yield f"{figure} of {name}: {mine} was signed, judging again gives {theirs}"


def _is_same(mine: float | None, theirs: float | None) -> bool:
    if mine is None or theirs is None:  # infinite bounds are null in JSON
        return all(value is None or math.isinf(value) for value in (mine, theirs))
    return math.isclose(mine, theirs, rel_tol=_TOLERANCE, abs_tol=1e-9)
