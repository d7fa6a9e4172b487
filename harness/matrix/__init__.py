"""The wish: read a matrix file, check all of it, expand it, select from it."""

from harness.matrix.expand import Wish, expand
from harness.matrix.load import load_matrix, parse_matrix
from harness.matrix.schema import json_schema
from harness.matrix.select import matches

__all__ = ["Wish", "expand", "json_schema", "load_matrix", "matches", "parse_matrix"]
