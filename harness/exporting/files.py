"""Write the files of an export into a folder that is free, with a manifest of them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from harness.core.errors import UsageError
from harness.exporting.checks import MANIFEST, check_folder
from harness.store.write import write_atomically


def write_export(out: Path, content: Mapping[str, bytes], main: str, force: bool) -> Path:
    """Write files by their path in the folder and return the main one.

    With `force` the files of an earlier export are replaced, and those that this one lacks are
    removed; other files stay, and one with a name of this export's is refused.
    """
    check_folder(out, force)
    earlier = _read_manifest(out)
    foreign = [name for name in content if name not in earlier and (out / name).exists()]
    if foreign:
        what = f"a file of this name is not from an export: {foreign[0]}"
        raise UsageError(what, str(out), "Move it away, or name another folder with --to.")
    for name in earlier:
        if name not in content:
            (out / name).unlink(missing_ok=True)
    for name, data in content.items():
        write_atomically(out / name, data, "--to")
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(content.items())}
    manifest = json.dumps({"files": digests}, indent=1).encode()
    write_atomically(out / MANIFEST, manifest, "--to")
    return out / main


def _read_manifest(out: Path) -> frozenset[str]:
    """Return the files of an earlier export; none if there was none, or its list is damaged."""
    path = out / MANIFEST
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["files"]
        return frozenset(name for name in names if ".." not in Path(name).parts)
    except (OSError, ValueError, LookupError, TypeError):
        return frozenset()
