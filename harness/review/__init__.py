"""Human review: a blind page for raters, and their answers in the run."""

from harness.review.answers import add_answers
from harness.review.page import PAIRS, Wish, Written, write_review

__all__ = ["PAIRS", "Wish", "Written", "add_answers", "write_review"]
