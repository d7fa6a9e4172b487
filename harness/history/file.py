"""The file of a history: one Parquet table, with the nights in its metadata."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import ResultsError
from harness.core.history import Night
from harness.history.table import Columns, History, Names
from harness.store.write import RESULTS_OPTION, write_atomically

VERSION = 1
REPAIR = "Delete it, then: harness history MATRIX. It is built again from the runs."


def save_history(history: History, path: Path) -> None:
    """Write a history, whole or not at all; MachineError if the disk is full or read-only."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns, names = history.columns, history.names
    runs = tuple(night.run for night in history.nights)
    coded = ((columns.run, runs), (columns.cell, names.cells),
             (columns.quantity, names.quantities), (columns.basis, names.bases))  # fmt: skip
    arrays = [
        pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(words, pa.string()))
        for codes, words in coded
    ]
    arrays += [pa.array(column) for column in (columns.value, columns.low, columns.high)]
    table = pa.table(arrays, names=list(Columns._fields))
    document = {
        "version": VERSION,
        "lineage": history.lineage,
        "names": names._asdict(),
        **_dump_nights(history.nights),
    }
    table = table.replace_schema_metadata({"harness": json.dumps(document)})
    written = io.BytesIO()
    pq.write_table(table, written, compression="zstd")
    write_atomically(path, written.getvalue(), RESULTS_OPTION)


def _dump_nights(nights: tuple[Night, ...]) -> dict[str, Any]:
    """Return the nights for JSON; facts that many nights share are written once."""
    facts: dict[str, int] = {}
    dumped = []
    for night in nights:
        fields = night.model_dump(mode="json", exclude_defaults=True)
        text = json.dumps(night.facts)
        dumped.append({**fields, "facts": facts.setdefault(text, len(facts))})
    return {"nights": dumped, "facts": [json.loads(text) for text in facts]}


def load_history(path: Path) -> History:
    """Read a history file; ResultsError if it is missing, damaged or newer than this version."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(path.read_bytes()))
        document = json.loads((table.schema.metadata or {})[b"harness"])
        version = document["version"]
        if version > VERSION:
            raise ResultsError(
                f"the history's format {version} is newer than this version reads ({VERSION})",
                str(path), "Upgrade: pip install --upgrade diffusion-harness",
            )  # fmt: skip
        nights = tuple(
            Night.model_validate({**night, "facts": document["facts"][night["facts"]]})
            for night in document["nights"]
        )
        names = Names(*(tuple(document["names"][field]) for field in Names._fields))
        words = (tuple(night.run for night in nights), *names)
        columns = _read_columns(table, words)
        return History(document["lineage"], nights, names, columns)
    except FileNotFoundError as error:
        fix = "Make it with: harness history MATRIX"
        raise ResultsError("no history here", str(path), fix) from error
    except (OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ResultsError(f"damaged history file ({first})", str(path), REPAIR) from error


def _read_columns(table: Any, words: tuple[tuple[str, ...], ...]) -> Columns:
    """Return a table's columns with codes into `words`, the names of each coded column."""
    fields = Columns._fields
    codes = [_read_codes(table[name], known) for name, known in zip(fields, words, strict=False)]
    return Columns._make((*codes, *(table[name].to_numpy() for name in fields[len(words) :])))


def _read_codes(column: Any, known: tuple[str, ...]) -> NDArray[np.int32]:
    """Return the codes of a dictionary column, whose own dictionary may have another order."""
    places = {word: code for code, word in enumerate(known)}
    parts = [
        np.array([places[word] for word in chunk.dictionary.to_pylist()], dtype=np.int32)[
            chunk.indices.to_numpy()
        ]
        for chunk in column.chunks
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.int32)
