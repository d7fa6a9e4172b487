"""Matrix files and policies: read, check, expand, select."""

from harness.matrix.expand import Wish, expand, matches, merge_notes
from harness.matrix.load import is_shipped, load_matrix, matrix_names, matrix_text, parse_matrix
from harness.matrix.policy import load_policy, parse_policy, policy_names, policy_text
from harness.matrix.schema import json_schema

__all__ = [
    "Wish",
    "expand",
    "is_shipped",
    "json_schema",
    "load_matrix",
    "load_policy",
    "matches",
    "matrix_names",
    "matrix_text",
    "merge_notes",
    "parse_matrix",
    "parse_policy",
    "policy_names",
    "policy_text",
]
