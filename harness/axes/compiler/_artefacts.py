"""Build artefacts on disk, found again by a hash of everything they were built from."""

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from harness.weights_digest import digest_facts, digest_weights


class Artefact(NamedTuple):
    """A folder with a build, the builder's facts, the build time, and whether it was cached."""

    folder: Path
    facts: dict[str, Any]
    build_s: float
    kept: bool

    @property
    def figures(self) -> dict[str, float | int]:
        """Return figures of an effect; `build_s` is the build time, in this or an earlier run."""
        hits = int(self.kept)
        return {"build_s": round(self.build_s, 3), "cache_hits": hits, "cache_misses": 1 - hits}

    @property
    def origin(self) -> str:
        """Return whether the cache was warm, in words."""
        return "from the warm cache" if self.kept else f"built in {self.build_s:.1f} s"


FACTS = "facts.json"


def keep(cache: Path, key: Iterable[object], build: Callable[[Path], dict[str, Any]]) -> Artefact:
    """Return the artefact of a key; if missing, `build(folder)` builds it and returns facts.

    Concurrent processes build it once; a process that dies while building leaves nothing behind.
    """
    digest = hashlib.sha256("\0".join(map(str, key)).encode()).hexdigest()
    folder = cache / digest[:32]
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f"{folder.name}.lock"):
        kept = (folder / FACTS).exists()
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
            _build(folder, build)
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return Artefact(folder, facts, facts["build_s"], kept)


def _build(folder: Path, build: Callable[[Path], dict[str, Any]]) -> None:
    draft = Path(tempfile.mkdtemp(prefix="draft-", dir=folder.parent))
    try:
        begin = time.perf_counter()
        facts = build(draft)
        facts["build_s"] = time.perf_counter() - begin
        (draft / FACTS).write_text(json.dumps(facts), encoding="utf-8")
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def fingerprint(module: Any) -> str:
    """Return a hash of a torch module: structure, attention, LoRA strengths and all weights."""
    processors = sorted(getattr(module, "attn_processors", {}).items())
    attention = [
        (name, type(processor).__name__, getattr(processor, "_attention_backend", ""))
        for name, processor in processors
    ]
    scales = {n: part.scaling for n, part in module.named_modules() if hasattr(part, "scaling")}
    settings = getattr(module, "config", {}).items()
    config = {name: value for name, value in settings if name[0] != "_"}  # private: paths
    return digest_facts([repr(module), attention, repr((config, scales)), digest_weights(module)])
