"""Damage ladders that were climbed before, by a hash of all they depend on."""

from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from harness.core.errors import MachineError
from harness.core.quality import Rung
from harness.store import features_cache_dir
from harness.store.write import write_atomically

_RUNGS = TypeAdapter(tuple[Rung, ...])


def load_ladder(key: str) -> tuple[Rung, ...] | None:
    """Return the rungs kept under a key, or None where there are none that can be read."""
    try:
        return _RUNGS.validate_json(_file(key).read_bytes())
    except (OSError, ValidationError):
        return None


def store_ladder(key: str, rungs: tuple[Rung, ...]) -> None:
    """Keep rungs; silently not, where the disk is full or the folder read-only: a cache is never needed."""
    file = _file(key)
    with suppress(OSError, MachineError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, _RUNGS.dump_json(rungs))


def _file(key: str) -> Path:
    return features_cache_dir().with_name("ladders") / f"{key}.json"
