"""Published claims, lined up with what a run measured."""

from harness.claims.claim import ABOUT, Claim, Source
from harness.claims.comparing import Finding, compare_claims
from harness.claims.ledger import load_ledger, parse_ledger, shipped_claims
from harness.claims.matching import gpu_words, model_words
from harness.claims.wording import claimed_words, here_words

__all__ = [
    "ABOUT",
    "Claim",
    "Finding",
    "Source",
    "claimed_words",
    "compare_claims",
    "gpu_words",
    "here_words",
    "load_ledger",
    "model_words",
    "parse_ledger",
    "shipped_claims",
]
