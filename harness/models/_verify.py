"""Compare the weight files of a pipeline with its configurations, before anything is loaded."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness.checkpoints.cache import keep, read_kept
from harness.checkpoints.header import read_shapes, refuse_pointers
from harness.core.errors import UsageError
from harness.models import _files as files
from harness.models._folder import Folder
from harness.models._network_files import (
    Misfit,
    NetworkFiles,
    excuse_packed,
    is_comparable,
    note_packed,
    without_quantization,
)

_TIMEOUT_S = 900.0
_PACKAGES = ("torch", "diffusers", "transformers")
_RANDOM = "Download or save the model again: missing tensors would be filled with random numbers."
_UNKNOWN = "Name a class of the installed libraries, or install the version that saved the model."
_WORDLESS = "Copy or download the whole model again: without it every prompt is unknown words."


class UncheckedError(Exception):
    """The comparison failed; the message is a short reason."""


def verify_folder(folder: Folder, wanted: files.WantedFiles) -> tuple[str, ...]:
    """Return notes for the plan: duplicate weights, and components that were not compared.

    Raises UsageError, with file and tensors, for files that are damaged or do not fit their
    component's configuration.
    """
    refuse_pointers(files.list_read_files(folder, wanted).values())
    _refuse_wordless(folder, wanted)
    notes, networks = [], {}
    for name, found in files.find_weight_files(folder, wanted).items():
        notes += [found.note] if found.note else []
        network = _describe(folder, name)
        notes += [note] if (note := note_packed(network)) else []
        if not is_comparable(network):
            continue
        tensors = {name: shape for path in found.paths for name, shape in read_shapes(path).items()}
        update = {"tensors": tensors, "sharded": bool(found.shard_index)}
        place = f"{found.folder.name}/{found.shard_index or found.files[0]}"
        networks[place] = network.model_copy(update=update)
    return (*notes, *_refuse_misfits(networks, folder.path))


def verify_file(path: Path, folder: Folder, parts: Sequence[str]) -> tuple[str, ...]:
    """Return notes on a file in its authors' layout with these parts; raises as `verify_folder`."""
    update = {"tensors": read_shapes(path), "folder": str(folder.path)}
    networks = (_describe(folder, part).model_copy(update=update) for part in parts)
    return _refuse_misfits({f"{path.name}, {network.name},": network for network in networks}, path)


def find_misfits(networks: Sequence[NetworkFiles]) -> list[Misfit]:
    """Return how the files of each network differ from its configuration.

    Results are cached, so that a plan imports torch only for new files and configurations: in
    another process, unless this one has imported it. Raises UncheckedError if the comparison fails.
    """
    versions = _versions()
    names = [_hash(network, versions) for network in networks]
    cached = [_read_cached(name) for name in names]
    new = [network for network, misfit in zip(networks, cached, strict=True) if misfit is None]
    answers = iter(_compare(new))
    found = [misfit if misfit is not None else next(answers) for misfit in cached]
    for name, before, misfit in zip(names, cached, found, strict=True):
        if before is None and not misfit.refused:  # a network may be buildable the next time
            keep("misfits", name, misfit.model_dump())
    return found


def _refuse_wordless(folder: Folder, wanted: files.WantedFiles) -> None:
    for part in wanted.components:
        if "Tokenizer" in part.kind:
            place = folder.path / part.name
            missing = files.list_missing_tokens(place, part.kind.removesuffix("Fast"))
            words = [file for file in missing if file != "tokenizer_config.json"]
            if words:
                what = f"{part.name} has no {' and no '.join(words)}"
                raise UsageError(what, str(place), _WORDLESS)


def _describe(folder: Folder, name: str) -> NetworkFiles:
    library, kind = folder.components[name]
    return NetworkFiles(
        name=name, library=library, kind=kind, config=folder.config(name), tensors={}
    )


def _refuse_misfits(networks: Mapping[str, NetworkFiles], where: Path) -> tuple[str, ...]:
    try:
        found = find_misfits([without_quantization(network) for network in networks.values()])
    except UncheckedError as error:
        return (f"the tensors of {where.name} were not compared with its configurations: {error}",)
    misfits = {
        place: excuse_packed(misfit, network)
        for (place, network), misfit in zip(networks.items(), found, strict=True)
    }
    lines = [
        f"{place} does not fit {networks[place].name}/config.json: {misfit}"
        for place, misfit in misfits.items()
        if misfit
    ]
    if lines:
        refused = any(misfit.refused for misfit in misfits.values())
        raise UsageError("\n  ".join(lines), str(where), _UNKNOWN if refused else _RANDOM)
    return ()


def _compare(networks: Sequence[NetworkFiles]) -> list[Misfit]:
    if not networks:
        return []
    if all(sys.modules.get(name) is not None for name in _PACKAGES):
        from harness.models._dry_load import dry_load

        return [dry_load(network) for network in networks]
    command = [sys.executable, "-m", "harness.models._dry_load"]
    asked = json.dumps([network.model_dump() for network in networks])
    options: dict[str, Any] = {"timeout": _TIMEOUT_S, "env": {**os.environ, "HF_HUB_OFFLINE": "1"}}
    try:
        done = subprocess.run(
            command, input=asked, capture_output=True, text=True, check=False, **options
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UncheckedError(f"{type(error).__name__}: {error}") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise UncheckedError(last)
    return [Misfit.model_validate(entry) for entry in json.loads(done.stdout.splitlines()[-1])]


def _versions() -> list[str]:
    try:
        return [f"{name} {version(name)}" for name in (*_PACKAGES, "accelerate")]
    except PackageNotFoundError as error:
        raise UncheckedError(f"{error.name} is not installed") from error


def _hash(network: NetworkFiles, versions: Sequence[str]) -> str:
    asked = json.dumps([network.model_dump(), list(versions)], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()


def _read_cached(name: str) -> Misfit | None:
    found = read_kept("misfits", name)
    try:
        return None if found is None else Misfit.model_validate(found)
    except ValueError:
        return None
