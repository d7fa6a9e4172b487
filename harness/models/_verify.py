"""Compare the weight files of a pipeline with its configurations, before anything is loaded."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.checkpoints.header import read_header
from harness.checkpoints.lfs import refuse_pointers
from harness.core.errors import UsageError
from harness.models._folder import Folder
from harness.models._layout import Wanted, lacking_tokens
from harness.models._misfit import Network, UncheckedError, find_misfits
from harness.models._weight_files import WeightFiles, find_weight_files, list_read_files

_FIX = "Download or save the model again: what is missing would be filled with random numbers."


def verify_folder(folder: Folder, wanted: Wanted) -> tuple[str, ...]:
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


def _refuse_without_words(folder: Folder, wanted: Wanted) -> None:
    for part in wanted.components:
        if "Tokenizer" in part.kind:
            missing = lacking_tokens(folder.path / part.name, part.kind.removesuffix("Fast"))
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


def _refuse_misfits(networks: Mapping[str, Network], where: Path) -> tuple[str, ...]:
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


def _network(folder: Folder, name: str, found: WeightFiles) -> Network:
    tensors = {tensor: entry.shape for path in found.paths for tensor, entry in read_header(path).items()}
    return _describe(folder, name).model_copy(update={"tensors": tensors, "sharded": bool(found.shard_index)})


def _describe(folder: Folder, name: str) -> Network:
    library, kind = folder.components[name]
    return Network(name=name, library=library, kind=kind, config=folder.config(name), tensors={})


def _place(found: WeightFiles) -> str:
    return f"{found.folder.name}/{found.shard_index or found.files[0]}"
