"""Which weight files of a pipeline's folder the libraries read, and what else is there.

diffusers looks for an index of shards first, transformers for a whole file; both take pickles where there are no
safetensors (`from_pretrained` of diffusers/models/modeling_utils.py and transformers/modeling_utils.py).
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from harness.checkpoints.lfs import refuse_pointers
from harness.core.errors import UsageError
from harness.models._folder import INDEX, Folder
from harness.models._layout import SMALL, STEMS, Component, Wanted, match_weights, variant_of

_PICKLES = {"diffusers": "diffusion_pytorch_model"}
"""Library → how the names of its pickles begin; pytorch_model for all others."""
_SHARDED_PICKLE = re.compile(r".*-\d{5}-of-\d{5}\.bin|.*\.bin\.index(\.\w+)?\.json")
_PICKLED = "Pickled weights in several files are not read: save them as safetensors, with `save_pretrained`."


class WeightFiles(NamedTuple):
    """The files that are read for a component: one, or the shards of `shard_index`; `unread` hold the same weights."""

    folder: Path
    files: tuple[str, ...]
    shard_index: str = ""
    variant: str = ""
    unread: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(self.folder / file for file in self.files)

    @property
    def note(self) -> str:
        """What the plan says where the same weights are there twice; else empty."""
        if not self.unread:
            return ""
        read = f"the {len(self.files)} shards of {self.shard_index}" if self.shard_index else self.files[0]
        other = ", ".join(self.unread)
        are = "are" if len(self.unread) > 1 else "is"
        return f"{self.folder.name}: {read} will be read; {other} {are} there too and will not be read"


def find_weight_files(folder: Folder, wanted: Wanted) -> dict[str, WeightFiles]:
    """Return component → the files that are read for it.

    A component without the wanted variant gives its plain weights. Raises UsageError for a component whose weights are
    missing, incomplete, or of no form that can be read.
    """
    parts = [component for component in wanted.components if component.has_weights]
    found = {part.name: _find(folder.path / part.name, part, wanted.variant) for part in parts}
    if wanted.variant and not any(files.variant == wanted.variant for files in found.values()):
        what = f'no component has weights of the variant "{wanted.variant}"'
        raise UsageError(what, str(folder.path), "Leave the variant out, or name one that the files have.")
    return found


def choose_variant(folder: Folder, wanted: Wanted) -> str:
    """Return the variant to load where none was asked for: none where all components have plain weights, else the one.

    Raises UsageError where there are several to choose from.
    """
    lacking = [part for part in wanted.components if part.has_weights and not _has_plain(folder.path / part.name, part)]
    found = sorted({variant for part in lacking for variant in _variants(_names(folder.path / part.name))})
    if len(found) > 1:
        what = f"{lacking[0].name} has no plain weights, but the variants {', '.join(found)}"
        fix = f'Name one: model = {{source = "folder", path = "…", variant = "{found[0]}"}}'
        raise UsageError(what, str(folder.path), fix)
    return found[0] if found else ""


def list_read_files(folder: Folder, wanted: Wanted) -> dict[str, Path]:
    """Return the files that loading a pipeline reads, by their name inside the folder."""
    weights: dict[str, Path] = {}
    for name, found in find_weight_files(folder, wanted).items():
        read = (*found.files, found.shard_index) if found.shard_index else found.files
        weights |= {f"{name}/{file}": found.folder / file for file in read}
    return list_small_files(folder, wanted) | weights


def list_small_files(folder: Folder, wanted: Wanted) -> dict[str, Path]:
    """Return the configurations and tokenizers of a pipeline's components, by their name inside the folder."""
    listed = (path for part in wanted.components for path in (folder.path / part.name).glob("*"))
    small = (path for path in listed if path.suffix in SMALL and path.is_file() and not match_weights(path.name))
    return {INDEX: folder.path / INDEX, **{path.relative_to(folder.path).as_posix(): path for path in small}}


def _find(folder: Path, part: Component, variant: str) -> WeightFiles:
    there = _names(folder)
    for word in dict.fromkeys((variant, "")):
        wholes, indexes = _of_variant(there, word)
        if indexes and not (wholes and part.library == "transformers"):
            found = WeightFiles(
                folder, _shards(folder / indexes[0]), indexes[0], word, (*wholes, *_pickle(part, there))
            )
            return _checked(found, there)
        if wholes:
            return WeightFiles(folder, wholes[:1], "", word, (*indexes, *_pickle(part, there)))
    return _find_pickled(folder, part, there)


def _find_pickled(folder: Path, part: Component, there: frozenset[str]) -> WeightFiles:
    if whole := _pickle(part, there):
        return WeightFiles(folder, whole)
    if any(_SHARDED_PICKLE.fullmatch(name) for name in there):
        raise UsageError(f"the weights of {part.name} are pickles in several files (.bin)", str(folder), _PICKLED)
    if any("-of-" in name for name in there):
        what = f"{part.name} has shards of weights, but the index that lists them is missing"
    else:
        variants = ", ".join(sorted(_variants(there)))
        has = f"; it has the variant {variants}" if variants else ""
        what = f"{part.name} has no {STEMS.get(part.library, 'model')}.safetensors{has}"
    raise UsageError(what, str(folder), "Copy or download the whole model again.")


def _checked(found: WeightFiles, there: frozenset[str]) -> WeightFiles:
    missing = [file for file in found.files if file not in there]
    if missing:
        count = f"{len(missing)} of the {len(found.files)} files"
        what = f"{count} that {found.shard_index} lists are missing, such as {missing[0]}"
        raise UsageError(what, str(found.folder), "Copy or download the whole model again.")
    return found


def _shards(index: Path) -> tuple[str, ...]:
    refuse_pointers((index,))
    try:
        files: Mapping[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return tuple(sorted(set(files.values())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError("this is no index of weights", str(index), "Download it again.") from error


def _of_variant(there: frozenset[str], variant: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the whole files and the indexes of shards of one variant."""
    matches = {name: match for name in sorted(there) if (match := match_weights(name)) and variant_of(match) == variant}
    wholes = tuple(name for name, match in matches.items() if not match["shard"] and not match["index"])
    return wholes, tuple(name for name, match in matches.items() if match["index"])


def _pickle(part: Component, there: frozenset[str]) -> tuple[str, ...]:
    return tuple(there & {f"{_PICKLES.get(part.library, 'pytorch_model')}.bin"})


def _has_plain(folder: Path, part: Component) -> bool:
    there = _names(folder)
    stem = _PICKLES.get(part.library, "pytorch_model")
    return any(_of_variant(there, "")) or any(name.startswith((f"{stem}.bin", f"{stem}-0")) for name in there)


def _variants(there: frozenset[str]) -> set[str]:
    return {variant_of(match) for name in there if (match := match_weights(name))} - {""}


def _names(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path in folder.glob("*") if path.is_file())
