"""Published claims, compared with what a run measured."""

from harness.claims.claim import ABOUT, Claim, Source, load_ledger, parse_ledger, shipped_claims
from harness.claims.comparison import Finding, compare_claims, compare_run
from harness.claims.text import name_gpus, name_model, write_claimed, write_measured

__all__ = [
    "ABOUT",
    "Claim",
    "Finding",
    "Source",
    "compare_claims",
    "compare_run",
    "load_ledger",
    "name_gpus",
    "name_model",
    "parse_ledger",
    "shipped_claims",
    "write_claimed",
    "write_measured",
]
