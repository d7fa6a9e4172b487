"""Whether a deployed folder holds what was signed: weights, adapters and settings, by digests."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.checkpoints.digest import digest_file
from harness.core.errors import UsageError
from harness.signing.contents import DEPLOYMENTS
from harness.signing.refusal import Refusal, RefusalKind

DEPLOYMENT = "deployment.json"
"""The file of a deployed folder that says which settings its service uses: a signed member."""
WEIGHT_SUFFIXES = frozenset(
    {".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".onnx", ".engine", ".plan"}
)


class Deployed(NamedTuple):
    """The signed cell that a folder deploys, or '', and what differs from it."""

    cell: str
    refusals: tuple[Refusal, ...]


def check_deployment(folder: Path, members: Mapping[str, bytes]) -> Deployed:
    """Compare a deployed folder with the deployments of a verified bundle.

    The model's files are found by the end of their path, adapters by their content. Weight files
    that were not signed are refused. Raises UsageError if there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError("no such folder", str(folder), "Name the folder that is deployed.")
    cell_id, refusals = _find_cell(folder, members)
    if not cell_id:
        return Deployed("", refusals)
    signed = json.loads(members[_member(cell_id)])
    files = {path.relative_to(folder).as_posix(): path
             for path in sorted(folder.rglob("*")) if path.is_file()}  # fmt: skip
    refusals += (*_check_files(files, signed), *_check_adapters(files, signed))
    return Deployed(cell_id, refusals)


def _member(cell_id: str) -> str:
    return f"{DEPLOYMENTS}/{cell_id}.json"


def _find_cell(folder: Path, members: Mapping[str, bytes]) -> tuple[str, tuple[Refusal, ...]]:
    """Return the signed cell that the folder's deployment.json names, or '', and what differs from
    the signed one."""
    signed = {name.removeprefix(f"{DEPLOYMENTS}/").removesuffix(".json"): data
              for name, data in members.items() if name.startswith(f"{DEPLOYMENTS}/")}  # fmt: skip
    path = folder / DEPLOYMENT
    if not path.is_file():
        how = f"copy {DEPLOYMENTS}/CELL.json of the bundle there, and read the settings from it"
        return "", (_refusal("settings", DEPLOYMENT, f"missing in {folder}: {how}"),)
    data = path.read_bytes()
    try:
        found: Any = json.loads(data)
        cell_id = str(found["cell"])
    except (ValueError, LookupError, TypeError):
        return "", (_refusal("settings", DEPLOYMENT, "not the deployment of any cell"),)
    if cell_id not in signed:
        what = f"{cell_id} is not signed off; signed are: {', '.join(signed)}"
        return "", (_refusal("settings", DEPLOYMENT, what),)
    same = data == signed[cell_id]
    return cell_id, () if same else _explain_settings(found, json.loads(signed[cell_id]))


def _explain_settings(found: dict[str, Any], expected: dict[str, Any]) -> tuple[Refusal, ...]:
    """Return what differs between a folder's deployment.json and the signed one of its cell."""
    mine, theirs = found.get("settings"), expected["settings"]
    if mine != theirs and isinstance(mine, dict):
        return tuple(
            _refusal("settings", axis, f"{mine.get(axis)} is set, {theirs.get(axis)} was signed")
            for axis in sorted({*mine, *theirs})
            if mine.get(axis) != theirs.get(axis)
        )
    differ = [key for key in sorted({*found, *expected}) if found.get(key) != expected.get(key)]
    what = f"differs from the signed one in {', '.join(differ) or 'its bytes'}"
    return (_refusal("settings", DEPLOYMENT, what),)


def _check_files(files: Mapping[str, Path], signed: dict[str, Any]) -> tuple[Refusal, ...]:
    """Compare the model's files, and refuse further weight files."""
    refusals, matched = [], set()
    for name, digest in signed["weights"].items():
        found = [place for place in files if f"/{place}".endswith(f"/{name}")]
        matched.update(found)
        if not found:
            refusals.append(_refusal("weights", name, "missing in the deployed folder"))
        refusals += [
            _refusal("weights", place, "its content is not the signed one")
            for place in found
            if digest_file(files[place]) != digest
        ]
    adapters = {digest for digests in signed["adapters"].values() for digest in digests}
    for place, path in files.items():
        if place in matched or path.suffix not in WEIGHT_SUFFIXES:
            continue
        if digest_file(path) not in adapters:
            refusals.append(_refusal("weights", place, "was not signed: it is no file of the cell"))
    return tuple(refusals)


def _check_adapters(files: Mapping[str, Path], signed: dict[str, Any]) -> tuple[Refusal, ...]:
    present = {digest_file(path) for path in files.values() if path.suffix in WEIGHT_SUFFIXES}
    return tuple(
        _refusal("adapter", axis, f"no deployed file has the signed digest {digest[:16]}…")
        for axis, digests in signed["adapters"].items()
        for digest in digests
        if digest not in present
    )


def _refusal(kind: RefusalKind, where: str, what: str) -> Refusal:
    return Refusal(kind=kind, where=where, what=what)
