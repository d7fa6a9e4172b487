"""What people preferred: the answers of a cell's reviews, with attention checks and agreement."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from harness.core.base import Frozen
from harness.core.quality import Interval, Uncertainty
from harness.core.review import Review, ReviewAnswer, ReviewAnswers, ReviewKey, ReviewPair
from harness.core.units import Absent, plural

if TYPE_CHECKING:
    from harness.results.cell import CellResult

TOLERATED_FAILURES = 1
"""Attention checks that a rater may fail: clicking at random passes eight with 0.3 % probability,
while attentive raters err now and then."""
LOST, TIED, PREFERRED = range(3)


class RaterRecord(Frozen):
    """One rater of one page: attention checks, seconds per answer, and why it was excluded."""

    rater: str
    page: str
    checks: int
    failed: tuple[str, ...]
    excluded: str
    """The reason; empty if its answers count."""
    median_s: float


class Preference(Frozen):
    """What the raters of a cell preferred, against the baseline."""

    share: Interval
    """Preferred or tied, of all answers."""
    uncertainty: Uncertainty
    preferred: int
    tied: int
    lost: int
    pairs: int
    prompts: int
    agreement: float | Absent
    """Krippendorff's alpha, ordinal."""
    broken: Interval
    """The share of the cell's images that a rater flagged as broken."""
    baseline_broken: Interval
    raters: tuple[RaterRecord, ...]

    @property
    def counted(self) -> tuple[str, ...]:
        """The raters whose answers count."""
        return tuple(dict.fromkeys(r.rater for r in self.raters if not r.excluded))

    @property
    def samples(self) -> str:
        """What the share rests on: `60 pairs of 3 raters`."""
        return f"{plural(self.pairs, 'pair')} by {plural(len(self.counted), 'rater')}"


class _Answered(NamedTuple):
    """A counted answer: the pair's prompt, its rater, and what it says of the candidate."""

    pair: ReviewPair
    rater: str
    outcome: int
    broken: bool
    baseline_broken: bool


def find_preference(cell: "CellResult") -> Preference | Absent:
    """Return what people preferred, over all pages of a cell; absent without counted answers."""
    if cell.is_baseline:
        return Absent(absent="it is the baseline")
    reviews = [review for review in cell.run.reviews if review.key.cell_id == cell.id]
    command = f"harness review {cell.run.folder.name} {cell.id}"
    if not any(review.answers for review in reviews):
        missing = "its review page has no answers yet: add them with --add" if reviews else ""
        return Absent(absent=missing or f"it was not reviewed by people; make a page: {command}")
    current = [review for review in reviews if _shows_images(cell, review.key)]
    if not any(review.answers for review in current):
        why = "its images were generated again after the review; make another page"
        return Absent(absent=f"{why}: {command}")
    raters = tuple(assess_rater(r.key, given) for r in current for given in r.answers)
    answered = list(_list_counted(current, raters))
    if not answered:
        reasons = "; ".join(f"{record.rater} {record.excluded}" for record in raters)
        return Absent(absent=f"every rater was excluded: {reasons}")
    return _summarize(answered, raters)


def _shows_images(cell: "CellResult", key: ReviewKey) -> bool:
    """Return whether a page shows the images that the run has now."""
    sides = (cell, cell.run.baseline)
    now = {
        (side.id, *image.key): image.sha256
        for side in sides
        for image in (side.samples.images if side.samples else ())
    }
    return all(
        now.get((cell_id, pair.prompt_id, pair.seed)) == sha256
        for pair in key.pairs
        for cell_id, sha256 in pair.sha256.items()
    )


def assess_rater(key: ReviewKey, given: ReviewAnswers) -> RaterRecord:
    """Return a rater's attention checks, and the reason if it failed more than one."""
    pairs = {pair.token: pair for pair in key.pairs}
    checks = [(pairs[a.pair], a) for a in given.answers if pairs[a.pair].kind != "pair"]
    failed = tuple(words for pair, answer in checks if (words := _explain_failure(pair, answer)))
    seconds = sorted(answer.ms / 1000 for answer in given.answers)
    excluded = ""
    if len(failed) > TOLERATED_FAILURES:
        counts = Counter(failed).items()
        words = "; ".join(f"{what} ({count}×)" if count > 1 else what for what, count in counts)
        excluded = f"failed {len(failed)} of {len(checks)} attention checks: {words}"
    return RaterRecord(
        rater=given.rater,
        page=given.page,
        checks=len(checks),
        failed=failed,
        excluded=excluded,
        median_s=seconds[len(seconds) // 2],
    )


def _explain_failure(pair: ReviewPair, answer: ReviewAnswer) -> str:
    if pair.kind == "identical":
        return "" if answer.choice == "tie" else "preferred one of two identical images"
    if answer.choice == pair.marked:
        return ""
    verb = "saw no difference from" if answer.choice == "tie" else "preferred"
    return f"{verb} a damaged image, {pair.damage}"


def _list_counted(reviews: Iterable[Review], raters: Iterable[RaterRecord]) -> Iterable[_Answered]:
    out = {(record.page, record.rater) for record in raters if record.excluded}
    for review in reviews:
        pairs = {pair.token: pair for pair in review.key.pairs}
        for given in review.answers:
            for answer in given.answers if (given.page, given.rater) not in out else ():
                pair = pairs[answer.pair]
                if pair.kind == "pair":
                    yield _read_answer(pair, given.rater.casefold(), answer)


def _read_answer(pair: ReviewPair, rater: str, answer: ReviewAnswer) -> _Answered:
    outcome = PREFERRED if answer.choice == pair.marked else LOST
    return _Answered(
        pair,
        rater,
        TIED if answer.choice == "tie" else outcome,
        pair.marked in answer.broken,
        any(side != pair.marked for side in answer.broken),
    )


def _summarize(answered: list[_Answered], raters: tuple[RaterRecord, ...]) -> Preference:
    from harness.stats.agreement import krippendorff_alpha
    from harness.stats.preference import crossed_share

    prompts = [each.pair.prompt_id for each in answered]
    names = [each.rater for each in answered]
    units: dict[tuple[str, int], list[int]] = {}
    for each in answered:
        units.setdefault((each.pair.prompt_id, each.pair.seed), []).append(each.outcome)
    share = crossed_share([each.outcome != LOST for each in answered], prompts, names)
    alpha = krippendorff_alpha(units.values(), 3)
    several = len(set(names)) > 1
    why = "all answers are equal" if several else "one rater"
    outcomes = [each.outcome for each in answered]
    return Preference(
        share=share.interval,
        uncertainty=share.distribution,
        preferred=outcomes.count(PREFERRED),
        tied=outcomes.count(TIED),
        lost=outcomes.count(LOST),
        pairs=len(units),
        prompts=len(set(prompts)),
        agreement=Absent(absent=why) if alpha is None else alpha,
        broken=crossed_share([each.broken for each in answered], prompts, names).interval,
        baseline_broken=crossed_share(
            [each.baseline_broken for each in answered], prompts, names
        ).interval,
        raters=raters,
    )
