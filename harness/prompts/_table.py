"""Tables with a header: PartiPrompts and MLPerf's captions (.tsv), DrawBench (.csv)."""

import csv
import io
from functools import partial

from harness.core.errors import UsageError
from harness.core.plan import Prompt
from harness.prompts._fields import read_prompt, require_text


def _read(delimiter: str, text: str, where: str) -> tuple[Prompt, ...]:
    """Return the prompts of all rows; UsageError names the column that is missing, or the line that is no row."""
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    require_text(reader.fieldnames or (), f"{where}, header")
    prompts = []
    for row in reader:
        place = f"{where}, line {reader.line_num}"
        if None in row:
            count = len(reader.fieldnames or ())
            raise UsageError(f"more than {count} fields", place, "Put a field that holds the delimiter into quotes.")
        prompts.append(read_prompt(row, place))
    return tuple(prompts)


read_csv = partial(_read, ",")
read_tsv = partial(_read, "\t")
