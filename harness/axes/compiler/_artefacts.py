"""What was slow to build, kept on disk under a hash of all it was made from."""

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock


class Artefact(NamedTuple):
    """A folder with what was built, the facts its builder told, what that took, and whether it was there already."""

    folder: Path
    facts: dict[str, Any]
    build_s: float
    kept: bool

    @property
    def figures(self) -> dict[str, float | int]:
        """Figures of an effect: `build_s` is what building took, be it now or in an earlier run."""
        return {"build_s": round(self.build_s, 3), "cache_hits": int(self.kept), "cache_misses": int(not self.kept)}

    @property
    def origin(self) -> str:
        """Say whether the cache was warm."""
        return "from the warm cache" if self.kept else f"built in {self.build_s:.1f} s"


FACTS = "facts.json"


def keep(cache: Path, key: Iterable[object], build: Callable[[Path], dict[str, Any]]) -> Artefact:
    """Return the artefact of a key, built by `build(folder)` (which returns facts for JSON) unless it is there.

    Two processes that want the same one build it once; one that dies while building leaves nothing behind.
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
    """Return a hash of a torch module: its structure, attention, LoRA strengths, and every byte of its weights."""
    import torch

    digest = hashlib.sha256(repr(module).encode())
    for name, processor in sorted(getattr(module, "attn_processors", {}).items()):
        digest.update(f"{name} {type(processor).__name__} {getattr(processor, '_attention_backend', '')}".encode())
    scales = {name: part.scaling for name, part in module.named_modules() if hasattr(part, "scaling")}
    config = {name: value for name, value in getattr(module, "config", {}).items() if name[0] != "_"}  # no paths
    digest.update(repr((config, scales)).encode())
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
