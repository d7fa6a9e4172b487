"""What networks saw, kept by image hash and extractor hash: no picture is looked at twice, in any run."""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_FILE = "features-1.sqlite3"
_ASK = 500

Row = NDArray[np.float32]


class FeatureCache:
    """Rows of float32 by (extractor fingerprint, key). A cache that cannot be opened is an empty one."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / _FILE
        self._connection: sqlite3.Connection | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._open()
        except (OSError, sqlite3.Error):
            self._reset()

    def _open(self) -> None:
        self._connection = sqlite3.connect(self._file, timeout=30)
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS seen (extractor TEXT, key TEXT, value BLOB, PRIMARY KEY (extractor, key))"
            " WITHOUT ROWID"
        )

    def _reset(self) -> None:
        """Begin anew where the file is damaged; go without where that fails, since a cache is never needed."""
        self._connection = None
        try:
            self._file.unlink(missing_ok=True)
            self._open()
        except (OSError, sqlite3.Error):
            self._connection = None

    def get(self, extractor: str, keys: Sequence[str]) -> dict[str, Row]:
        """Return the rows that are known among `keys`."""
        found: dict[str, Row] = {}
        try:
            for start in range(0, len(keys), _ASK) if self._connection else ():
                part = keys[start : start + _ASK]
                marks = ",".join("?" * len(part))
                query = f"SELECT key, value FROM seen WHERE extractor = ? AND key IN ({marks})"
                for key, value in self._connection.execute(query, (extractor, *part)):  # type: ignore[union-attr]
                    found[key] = np.frombuffer(value, dtype=np.float32)
        except sqlite3.Error:
            self._reset()
        return found

    def put(self, extractor: str, rows: Iterable[tuple[str, Row]]) -> None:
        """Keep rows; silently not, where the disk is full or the folder read-only."""
        if self._connection is None:
            return
        try:
            with self._connection:
                self._connection.executemany(
                    "INSERT OR REPLACE INTO seen VALUES (?, ?, ?)",
                    ((extractor, key, np.ascontiguousarray(row, dtype=np.float32).tobytes()) for key, row in rows),
                )
        except sqlite3.Error:
            self._connection = None

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
