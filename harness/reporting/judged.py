"""The judgement as a page shows it: the policy with its rules, and every cell's verdict in sentences."""

from harness.core.base import Frozen
from harness.core.policy import rule_words
from harness.core.rule import Rule
from harness.core.verdict import CellVerdict, Result, RuleVerdict, pick_worst
from harness.reporting.facts import Facts, Standing
from harness.reporting.loaded import LoadedRun
from harness.reporting.required_samples import cell_words
from harness.reporting.wording import WORDS, plural, round_share

_RESULTS: tuple[Result, ...] = ("pass", "fail", "inconclusive", "missing")


class Sentence(Frozen):
    """One rule's verdict in words."""

    standing: Standing
    text: str


class RuleRow(Frozen):
    """One rule of the policy, and how many cells keep it."""

    text: str
    warning: bool
    counts: tuple[tuple[Standing, str, int], ...]


class VerdictRow(Frozen):
    """One cell's verdict: what decided it, what only warns, and what would settle it."""

    anchor: str
    id: str
    standing: Standing
    word: str
    sentences: tuple[Sentence, ...]
    warnings: tuple[Sentence, ...]
    required_samples: str
    unprofiled: bool
    """It is recommended, but has no trace."""


class Judged(Frozen):
    """The policy, how error rates are kept, and the verdicts; `cells` is empty before the gate."""

    policy: str
    about: str
    rates: str
    rules: tuple[RuleRow, ...]
    cells: tuple[VerdictRow, ...]


def write_sentence(judged: RuleVerdict) -> Sentence:
    """Return a verdict's own sentence, beginning as a sentence does unless a metric's name does."""
    text = judged.sentence
    return Sentence(standing=judged.result, text=text if judged.metric else text[:1].upper() + text[1:])


def write_sentences(verdict: CellVerdict | None) -> tuple[tuple[Sentence, ...], tuple[Sentence, ...]]:
    """Return all sentences of a cell: of the rules that decide, and of those that only warn."""
    rules = verdict.rules if verdict else ()
    deciding, warning = (
        tuple(write_sentence(judged) for judged in rules if judged.rule.severity == severity)
        for severity in ("error", "warning")
    )
    return deciding, warning


def _deciding(verdict: CellVerdict) -> tuple[Sentence, ...]:
    """Return the sentences behind a cell's result; of a pass the closest one."""
    if verdict.result != "pass":
        found = tuple(write_sentence(judged) for judged in verdict.errors if judged.result == verdict.result)
        return found or (Sentence(standing=verdict.result, text=verdict.reason),)
    closest = max(verdict.errors, key=lambda judged: judged.p_value or 0.0)
    return (write_sentence(closest),)


def _rates(loaded: LoadedRun) -> str:
    """Say which error rate the passes of this run have, and how it is kept."""
    policy, judgement = loaded.policy, loaded.judgement
    alpha = max((rule.alpha for rule in policy.gate if rule.severity == "error"), default=0.05)
    cells = len(judgement.cells) if judgement else len(loaded.candidates)
    if policy.correction == "holm":
        text = (
            f"Holm’s correction across {plural(cells, 'cell')}: the chance that any cell passes that should not "
            f"is at most {round_share(alpha)}"
        )
    else:
        text = (
            f"No correction across {plural(cells, 'cell')}: each cell that should not pass does so with a chance "
            f"of at most {round_share(alpha)}"
        )
    if len(loaded.plan.interim_analyses) > 1:
        count = len(loaded.plan.interim_analyses)
        text += f". Verdicts were looked at up to {count} times; bounds are widened to keep that rate"
    return text + "."


def _counts(loaded: LoadedRun, rule: Rule) -> tuple[tuple[Standing, str, int], ...]:
    """Return how many cells a rule found passing, failing and so on; what it says of several metrics is one word."""
    ends = []
    for cell in loaded.judgement.cells if loaded.judgement else ():
        results = {judged.result for judged in cell.rules if judged.rule == rule}
        if results:
            ends.append(pick_worst(results))
    return tuple((result, WORDS[result], ends.count(result)) for result in _RESULTS if result in ends)


def build_judged(
    loaded: LoadedRun, facts: tuple[Facts, ...], anchors: dict[str, str], untraced: frozenset[str]
) -> Judged:
    """Return the judgement of a run, cells in the order given; `untraced` are recommended without a trace."""
    policy = loaded.policy
    rules = tuple(
        RuleRow(
            text=rule_words(rule).removeprefix("warning: "),
            warning=rule.severity == "warning",
            counts=_counts(loaded, rule),
        )
        for rule in policy.gate
    )
    rows = []
    for cell in facts:
        verdict = loaded.verdict(cell.id)
        if verdict is not None:
            rows.append(VerdictRow(
                anchor=anchors[cell.id], id=cell.id, standing=verdict.result, word=WORDS[verdict.result],
                sentences=_deciding(verdict), warnings=tuple(write_sentence(judged) for judged in verdict.warnings),
                required_samples=cell_words(loaded, verdict), unprofiled=cell.id in untraced,
            ))  # fmt: skip
    return Judged(policy=policy.name, about=policy.about, rates=_rates(loaded), rules=rules, cells=tuple(rows))
