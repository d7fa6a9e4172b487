"""Sentences about human reviews."""

from collections.abc import Iterator

from harness.core.units import Absent, plural
from harness.results.format import format_number, format_value
from harness.results.preference import Preference
from harness.review.page import Written


def write_page_lines(written: Written) -> Iterator[str]:
    """Yield what a page holds and what to do with it."""
    pairs, key = [pair.kind for pair in written.key.pairs], written.key
    checks = len(pairs) - pairs.count("pair")
    shown = f"{plural(pairs.count('pair'), 'pair')} of {key.cell_id} and the baseline"
    yield f"{shown}, {plural(checks, 'attention check')}, {key.encoding}"
    if written.without_files:
        chosen = f"chosen among the other {written.possible}"
        lost = plural(written.without_files, "pair has", "pairs have")
        yield f"note: {lost} no image files any more; pairs were {chosen}"
    yield "Send the page to five raters or more. Then: harness review RUN --add answers-*.json"


def write_preference_lines(found: Preference) -> Iterator[str]:
    """Yield what people preferred, how far they agreed, and who was excluded."""
    yield f"preferred or tied: {format_value(found.share, 'share')} of answers ({found.samples})"
    if len(found.counted) < 2:
        yield "one rater: the interval holds for other prompts, not for other people"
    yield f"preferred {found.preferred}, tied {found.tied}, lost {found.lost}"
    yield write_agreement(found)
    both = (found.broken, found.baseline_broken)
    broken, baseline = (format_value(share, "share") for share in both)
    yield f"flagged as broken: {broken} of its images, {baseline} of the baseline's"
    for record in found.raters:
        checks = f"{record.checks - len(record.failed)} of {record.checks} attention checks passed"
        speed = f"{record.median_s:.1f} s per answer"
        state = f"excluded: {record.excluded}" if record.excluded else f"{checks}, {speed}"
        yield f"rater {record.rater}: {state}"


def write_agreement(found: Preference) -> str:
    """Return how far raters agree, or why that is unknown."""
    if isinstance(found.agreement, Absent):
        return f"agreement unknown: {found.agreement.absent}"
    return f"agreement (Krippendorff's alpha, ordinal): {format_number(round(found.agreement, 2))}"
