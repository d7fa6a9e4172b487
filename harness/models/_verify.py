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
from harness.checkpoints.header import read_header, refuse_pointers
from harness.core.base import Frozen
from harness.core.errors import UsageError
from harness.models._files import WantedFiles, WeightFiles, find_weight_files, list_read_files, missing_tokens
from harness.models._folder import Folder

Shapes = Mapping[str, tuple[int, ...]]
_SHOWN = 4
_TIMEOUT_S = 900.0
_PACKAGES = ("torch", "diffusers", "transformers")


class NetworkFiles(Frozen):
    """A network as its pipeline describes it, and the tensors that its files hold."""

    name: str
    library: str
    kind: str
    config: dict[str, Any]
    tensors: dict[str, tuple[int, ...]]
    sharded: bool = False
    folder: str = ""
    """Where the configurations lie, for a file in its authors' layout, which holds other networks too; else empty."""


class Misfit(Frozen):
    """Tensors that a network needs and its files lack, those that it does not know, and those of another shape."""

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    shapes: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()
    """Name, shape in the file, shape that the configuration gives."""
    refused: str = ""
    """Why the network cannot be built at all."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.shapes or self.refused)

    def __str__(self) -> str:
        parts = [self.refused] if self.refused else []
        parts += [f"it lacks {_count(self.missing)}"] if self.missing else []
        parts += (
            [f"it holds tensors that the network does not have, {_count(self.unexpected)}"] if self.unexpected else []
        )
        if self.shapes:
            name, found, expected = self.shapes[0]
            sizes = f"{name} is {_size(found)}, by the configuration {_size(expected)}"
            parts.append(f"{len(self.shapes)} tensor{'s' * (len(self.shapes) > 1)} of another shape: {sizes}")
        return "; ".join(parts)


class UncheckedError(Exception):
    """The comparison could not be made; the message says why in a few words."""


def find_misfits(networks: Sequence[NetworkFiles]) -> list[Misfit]:
    """Return how the files of each network differ from what its configuration asks for.

    What was found is kept, so that a plan imports torch only for files and configurations that are new; it does so in a
    process of its own, unless torch is here already. Raises UncheckedError where it cannot be found out.
    """
    versions = _versions()
    names = [_name(network, versions) for network in networks]
    found = [_kept(name) for name in names]
    asked = [network for network, kept in zip(networks, found, strict=True) if kept is None]
    answers = iter(_ask(asked))
    decided = [kept if kept is not None else next(answers) for kept in found]
    for name, kept, misfit in zip(names, found, decided, strict=True):
        if kept is None and not misfit.refused:  # what stopped a network from being built may pass
            keep("misfits", name, misfit.model_dump())
    return decided


def _ask(networks: Sequence[NetworkFiles]) -> list[Misfit]:
    if not networks:
        return []
    if all(sys.modules.get(name) is not None for name in _PACKAGES):
        from harness.models._dry_load import dry_load

        return [dry_load(network) for network in networks]
    command = [sys.executable, "-m", "harness.models._dry_load"]
    asked = json.dumps([network.model_dump() for network in networks])
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    try:
        done = subprocess.run(
            command, input=asked, capture_output=True, text=True, timeout=_TIMEOUT_S, env=offline, check=False
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


def _name(network: NetworkFiles, versions: Sequence[str]) -> str:
    asked = json.dumps([network.model_dump(), list(versions)], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()


def _kept(name: str) -> Misfit | None:
    found = read_kept("misfits", name)
    try:
        return None if found is None else Misfit.model_validate(found)
    except ValueError:
        return None


def _count(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    return f"{len(names)} tensor{'s' * (len(names) > 1)}: {shown}"


def _size(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


_FIX = "Download or save the model again: what is missing would be filled with random numbers."


def verify_folder(folder: Folder, wanted: WantedFiles) -> tuple[str, ...]:
    """Return notes for the plan: weights that are there twice, and components that could not be compared.

    Raises UsageError, with file and tensors, for files that are damaged or do not fit their component's configuration.
    """
    refuse_pointers(list_read_files(folder, wanted).values())
    _refuse_without_words(folder, wanted)
    files = find_weight_files(folder, wanted)
    networks = {name: _network(folder, name, found) for name, found in files.items()}
    packed = [name for name, network in networks.items() if "quantization_config" in network.config]
    notes = [found.note for found in files.values() if found.note]
    notes += [f"{name} comes quantized: its tensors are not compared with its configuration" for name in packed]
    places = {_place(files[name]): network for name, network in networks.items() if name not in packed}
    return (*notes, *_refuse_misfits(places, folder.path))


def _refuse_without_words(folder: Folder, wanted: WantedFiles) -> None:
    for part in wanted.components:
        if "Tokenizer" in part.kind:
            missing = missing_tokens(folder.path / part.name, part.kind.removesuffix("Fast"))
            words = [file for file in missing if file != "tokenizer_config.json"]
            if words:
                fix = "Copy or download the whole model again: without it every prompt would be unknown words."
                raise UsageError(f"{part.name} has no {' and no '.join(words)}", str(folder.path / part.name), fix)


def verify_file(path: Path, folder: Folder, parts: Sequence[str]) -> tuple[str, ...]:
    """Return notes on a file in its authors' layout that holds these parts; raises as `verify_folder`."""
    tensors = {name: entry.shape for name, entry in read_header(path).items()}
    networks = [
        _describe(folder, part).model_copy(update={"tensors": tensors, "folder": str(folder.path)}) for part in parts
    ]
    return _refuse_misfits({f"{path.name}, {network.name},": network for network in networks}, path)


def _refuse_misfits(networks: Mapping[str, NetworkFiles], where: Path) -> tuple[str, ...]:
    try:
        misfits = dict(zip(networks, find_misfits(tuple(networks.values())), strict=True))
    except UncheckedError as error:
        return (f"the tensors of {where.name} were not compared with its configurations: {error}",)
    lines = [
        f"{place} does not fit {networks[place].name}/config.json: {misfit}"
        for place, misfit in misfits.items()
        if misfit
    ]
    if lines:
        raise UsageError("\n  ".join(lines), str(where), _FIX)
    return ()


def _network(folder: Folder, name: str, found: WeightFiles) -> NetworkFiles:
    tensors = {tensor: entry.shape for path in found.paths for tensor, entry in read_header(path).items()}
    return _describe(folder, name).model_copy(update={"tensors": tensors, "sharded": bool(found.shard_index)})


def _describe(folder: Folder, name: str) -> NetworkFiles:
    library, kind = folder.components[name]
    return NetworkFiles(name=name, library=library, kind=kind, config=folder.config(name), tensors={})


def _place(found: WeightFiles) -> str:
    return f"{found.folder.name}/{found.shard_index or found.files[0]}"
