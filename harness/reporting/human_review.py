"""What people preferred: the section of a reviewed cell, and its sentence."""

from harness.core.base import Frozen
from harness.core.units import Absent, plural
from harness.reporting.parts import Bar, NamedValue, Piece
from harness.results import CellResult
from harness.results.format import DASH, explain_absence, format_number, format_value
from harness.results.preference import Preference


class HumanReview(Frozen):
    """The answers of one cell's raters; without counted answers the reason only."""

    sentence: str
    answers: Bar | None = None
    figures: tuple[NamedValue, ...] = ()
    panel: str = ""
    """How many raters there were, and how many of them were excluded."""
    excluded: tuple[str, ...] = ()


def build_review(cell: CellResult) -> HumanReview | None:
    """Return the human review of a cell; None if it has no review page."""
    if not any(review.key.cell_id == cell.id for review in cell.run.reviews):
        return None
    found = cell.preference
    if isinstance(found, Absent):
        return HumanReview(sentence=f"Without a result: {found.absent}")
    share = format_value(found.share, "share")
    return HumanReview(
        sentence=f"Preferred or tied in {share} of answers, {found.samples}",
        answers=_divide_answers(found),
        figures=_list_figures(found),
        panel=_count_raters(found),
        excluded=tuple(f"{each.rater} {each.excluded}" for each in found.raters if each.excluded),
    )


def _divide_answers(found: Preference) -> Bar:
    parts = {"preferred": found.preferred, "tied": found.tied, "lost": found.lost}
    total = sum(parts.values())
    pieces = tuple(
        Piece(name=name, width=round(100 * count / total, 2), colour=colour, text=f"{count}")
        for (name, count), colour in zip(parts.items(), ("c5", "c3", "c2"), strict=True)
    )
    return Bar(name="Answers", value=found.samples, pieces=pieces)


def _list_figures(found: Preference) -> tuple[NamedValue, ...]:
    several = len(found.counted) > 1
    scope = "for other prompts and raters" if several else "for other prompts by this rater"
    alpha = (
        DASH if isinstance(found.agreement, Absent) else format_number(round(found.agreement, 2))
    )
    alpha_note = explain_absence(found.agreement) or "Krippendorff’s alpha, ordinal"
    broken, other = (format_value(each, "share") for each in (found.broken, found.baseline_broken))
    return (
        NamedValue(
            name="Preferred or tied",
            value=format_value(found.share, "share"),
            note=f"95 % interval, {scope}",
        ),
        NamedValue(name="Agreement of raters", value=alpha, note=alpha_note),
        NamedValue(name="Flagged as broken", value=broken, note=f"of the baseline’s {other}"),
    )


def _count_raters(found: Preference) -> str:
    excluded = sum(bool(record.excluded) for record in found.raters)
    everybody = plural(len(found.raters), "rater")
    return f"{everybody}, {excluded} excluded" if excluded else everybody
