"""The wish: read a matrix file, check all of it, expand it, select from it."""

from harness.matrix.expand import Wish, expand
from harness.matrix.load import load_matrix, parse_matrix
from harness.matrix.merges import merge_notes
from harness.matrix.policy import load_policy, parse_policy, policy_names, policy_text
from harness.matrix.schema import json_schema
from harness.matrix.select import matches
from harness.matrix.shipped import is_shipped, matrix_names, matrix_text

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
