"""Files of a pipeline in diffusers' layout: which are needed, which are missing, which are read.

A Hub repository contains the same weights several times (float32, fp16, Flax, ONNX, one single
file). Needed are model_index.json and, of every component it names, the configurations and one set
of safetensors. Of a local folder, diffusers reads an index of shards first, transformers a whole
file; both read pickles if there are no safetensors (`from_pretrained` of
diffusers/models/modeling_utils.py and transformers/modeling_utils.py).
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.checkpoints.header import refuse_pointers
from harness.core.errors import UsageError
from harness.models._folder import INDEX, Folder, list_components
from harness.models.families import find_family

SMALL = {".json", ".txt", ".model", ".jinja"}
STEMS = {"diffusers": "diffusion_pytorch_model", "transformers": "model"}
_WEIGHTS = re.compile(
    rf"({'|'.join(STEMS.values())})(\.(?P<variant>\w+))?(?P<shard>-\d{{5}}-of-\d{{5}})?"
    r"\.safetensors(?P<index>\.index(\.(?P<indexed>\w+))?\.json)?"
)
_SHARDED_PICKLE = re.compile(r".*-\d{5}-of-\d{5}\.bin|.*\.bin\.index(\.\w+)?\.json")
_CONFIGURATION = {"Scheduler": "scheduler_config.json", "Processor": "preprocessor_config.json"}
_TOKENIZERS = {"CLIPTokenizer": ("vocab.json", "merges.txt"), "T5Tokenizer": ("spiece.model",)}
_COPY = "Copy or download the whole model again."


class Component(NamedTuple):
    """A part of a pipeline that has files: its folder, and the library and class that read them."""

    name: str
    library: str
    kind: str

    @property
    def configuration(self) -> str:
        """The file that describes the component; empty for a tokenizer."""
        if "Tokenizer" in self.kind:
            return ""
        found = (file for word, file in _CONFIGURATION.items() if word in self.kind)
        return next(found, "config.json")

    @property
    def has_weights(self) -> bool:
        return self.configuration == "config.json"


class WantedFiles(NamedTuple):
    """What to load: model_index.json, a variant (such as fp16), unused components."""

    pipeline: Mapping[str, Any]
    variant: str = ""
    unused: Collection[str] = ()

    @property
    def components(self) -> tuple[Component, ...]:
        named = list_components(self.pipeline).items()
        return tuple(Component(name, *part) for name, part in named if name not in self.unused)

    @property
    def configurations(self) -> list[str]:
        """The few files that describe the model."""
        parts = (part for part in self.components if part.configuration)
        return [INDEX, *(f"{part.name}/{part.configuration}" for part in parts)]

    def load_options(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return options of `ModelSource.load` with the variant among the arguments."""
        variant = {"variant": self.variant} if self.variant else {}
        return {**options, "arguments": {**variant, **options.get("arguments", {})}}


class WeightFiles(NamedTuple):
    """The files read for a component: one, or the shards of `shard_index`.

    `unread` are other files with the same weights.
    """

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
        """The plan's note if the same weights are there twice; else empty."""
        if not self.unread:
            return ""
        shards = f"the {len(self.files)} shards of {self.shard_index}"
        read, unread = shards if self.shard_index else self.files[0], ", ".join(self.unread)
        return f"{self.folder.name}: {read} will be read; {unread} will not be read"


def select_files(folder: Folder, variant: str) -> WantedFiles:
    """Return what to load of a pipeline, given a folder that has its model_index.json."""
    arguments = find_family(folder).fixed_load_arguments
    return WantedFiles(
        folder.index, variant, {name for name, part in arguments.items() if part is None}
    )


def choose_files(listing: Collection[str], wanted: WantedFiles) -> list[str]:
    """Return the files of a repository to download, sorted.

    As in diffusers, plain weights replace a variant that a component does not have. Raises
    UsageError if a component has no safetensors, or no component has the variant.
    """
    chosen, varied = [INDEX], False
    for component in wanted.components:
        prefix = f"{component.name}/"
        inside = [p for p in listing if p.startswith(prefix) and p.count("/") == 1]
        chosen += [p for p in inside if Path(p).suffix in SMALL and not match_weights(p)]
        if component.has_weights:
            own = _of_variant(inside, wanted.variant).fetched if wanted.variant else ()
            weights = own or _of_variant(inside, "").fetched
            if not weights:
                what = f"{component.name} has no safetensors"
                raise UsageError(what, fix="Pickled weights are never loaded.")
            chosen += weights
            varied |= bool(own)
    if wanted.variant and not varied:
        named = ", ".join(sorted(_variants(listing)))
        known = f"It has: {named}." if named else "It has none: leave the variant out."
        what = f'no component has weights of the variant "{wanted.variant}"'
        raise UsageError(what, fix=known)
    return sorted(chosen)


def list_missing_files(folder: Path, wanted: WantedFiles, sure: bool = False) -> list[str]:
    """Return the files missing in a folder, as far as the present files tell: indexes name shards.

    A component with plain weights only counts as complete if another component has the variant,
    unless `sure`.
    """
    parts = wanted.components
    named = [path.name for part in parts for path in (folder / part.name).glob("*.safetensors")]
    varied = bool(_of_variant(named, wanted.variant).fetched)
    accepted = (wanted.variant, "") if varied and not sure else (wanted.variant,)
    missing = (
        (part.name, file) for part in parts for file in _list_missing(folder, part, accepted)
    )
    return [f"{name}/{file}" for name, file in missing]


def _list_missing(folder: Path, part: Component, variants: tuple[str, ...]) -> list[str]:
    place = folder / part.name
    if not part.configuration:
        return list_missing_tokens(place, part.kind.removesuffix("Fast"))
    missing = [] if (place / part.configuration).is_file() else [part.configuration]
    return missing + (_list_missing_weights(place, part, variants) if part.has_weights else [])


def list_missing_tokens(folder: Path, kind: str) -> list[str]:
    """Return the missing files of a tokenizer class: vocabulary and tokenizer_config.json."""
    there = _names(folder)
    known = kind in _TOKENIZERS
    needed = set(_TOKENIZERS[kind] if known else ("tokenizer.json",))
    if "tokenizer.json" in there or (
        not known and there & {"tokenizer.model", "spiece.model", "vocab.json"}
    ):
        needed = set()
    return sorted({*needed, "tokenizer_config.json"} - there)


def _list_missing_weights(folder: Path, part: Component, variants: tuple[str, ...]) -> list[str]:
    there, stem = _names(folder), STEMS.get(part.library, "model")
    each = (_of_variant(there, variant) for variant in variants)
    found = next((found for found in each if found.fetched), _Variant())
    suffix = f".{variants[0]}" if variants[0] else ""
    if found.wholes:
        return []
    if found.indexes:
        shards = {shard for index in found.indexes for shard in _read_shards(folder / index)}
        return sorted(shards - there)
    return [
        f"{stem}.safetensors.index{suffix}.json" if found.shards else f"{stem}{suffix}.safetensors"
    ]


def find_weight_files(folder: Folder, wanted: WantedFiles) -> dict[str, WeightFiles]:
    """Return component → the files that are read for it.

    Plain weights replace a variant that a component does not have. Raises UsageError for weights
    that are missing, incomplete, or in a format that is not supported.
    """
    parts = [component for component in wanted.components if component.has_weights]
    found = {part.name: _find(folder.path / part.name, part, wanted.variant) for part in parts}
    if wanted.variant and not any(files.variant == wanted.variant for files in found.values()):
        what = f'no component has weights of the variant "{wanted.variant}"'
        fix = "Leave the variant out, or name one that the files have."
        raise UsageError(what, str(folder.path), fix)
    return found


def choose_variant(folder: Folder, wanted: WantedFiles) -> str:
    """Return the variant to load if none is named: plain weights, else the only variant.

    Raises UsageError if there are several variants to choose from.
    """
    weighty = [part for part in wanted.components if part.has_weights]
    varied = [part for part in weighty if not _has_plain(folder.path / part.name, part)]
    found = sorted({v for part in varied for v in _variants(_names(folder.path / part.name))})
    if len(found) > 1:
        what = f"{varied[0].name} has no plain weights, but the variants {', '.join(found)}"
        fix = f'Name one: model = {{source = "folder", path = "…", variant = "{found[0]}"}}'
        raise UsageError(what, str(folder.path), fix)
    return found[0] if found else ""


def list_read_files(folder: Folder, wanted: WantedFiles) -> dict[str, Path]:
    """Return name inside the folder → path of the files that loading a pipeline reads."""
    weights: dict[str, Path] = {}
    for name, found in find_weight_files(folder, wanted).items():
        read = (*found.files, found.shard_index) if found.shard_index else found.files
        weights |= {f"{name}/{file}": found.folder / file for file in read}
    return list_small_files(folder, wanted) | weights


def list_small_files(folder: Folder, wanted: WantedFiles) -> dict[str, Path]:
    """Return name inside the folder → path of configurations and tokenizers."""
    listed = (p for part in wanted.components for p in (folder.path / part.name).glob("*"))
    small = (p for p in listed if p.suffix in SMALL and p.is_file() and not match_weights(p.name))
    paths = (folder.path / INDEX, *small)
    return {path.relative_to(folder.path).as_posix(): path for path in paths}


def match_weights(path: str) -> re.Match[str] | None:
    """Return a match with the groups variant, shard, index and indexed; None for other files."""
    return _WEIGHTS.fullmatch(path.rsplit("/", 1)[-1])


def read_variant(match: re.Match[str]) -> str:
    """Return the variant of weights or of an index, such as fp16; empty for plain ones."""
    return match["variant"] or match["indexed"] or ""


class _Variant(NamedTuple):
    """Weight files of one variant: whole files, indexes of shards, and shards."""

    wholes: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    shards: tuple[str, ...] = ()

    @property
    def fetched(self) -> tuple[str, ...]:
        """Whole files; without these, the indexes and shards."""
        return self.wholes or (*self.indexes, *self.shards)


def _of_variant(paths: Iterable[str], variant: str) -> _Variant:
    matches = {path: match for path in sorted(paths) if (match := match_weights(path))}
    own = {path: match for path, match in matches.items() if read_variant(match) == variant}
    wholes = tuple(p for p, match in own.items() if not match["shard"] and not match["index"])
    indexes = tuple(p for p, match in own.items() if match["index"])
    return _Variant(wholes, indexes, tuple(p for p in own if p not in {*wholes, *indexes}))


def _find(folder: Path, part: Component, variant: str) -> WeightFiles:
    there = _names(folder)
    for word in dict.fromkeys((variant, "")):
        wholes, indexes, _ = _of_variant(there, word)
        if indexes and not (wholes and part.library == "transformers"):
            shards = _read_shards(folder / indexes[0])
            _refuse_missing(shards, there, folder / indexes[0])
            unread = (*wholes, *_pickle(part, there))
            return WeightFiles(folder, shards, indexes[0], word, unread)
        if wholes:
            return WeightFiles(folder, wholes[:1], "", word, (*indexes, *_pickle(part, there)))
    return _find_pickled(folder, part, there)


def _find_pickled(folder: Path, part: Component, there: frozenset[str]) -> WeightFiles:
    if whole := _pickle(part, there):
        return WeightFiles(folder, whole)
    if any(_SHARDED_PICKLE.fullmatch(name) for name in there):
        what = f"the weights of {part.name} are pickles in several files (.bin)"
        fix = "Sharded pickles are not supported: save the model with `save_pretrained`."
        raise UsageError(what, str(folder), fix)
    if any("-of-" in name for name in there):
        what = f"{part.name} has shards of weights, but the index that lists them is missing"
    else:
        variants = ", ".join(sorted(_variants(there)))
        has = f"; it has the variant {variants}" if variants else ""
        what = f"{part.name} has no {STEMS.get(part.library, 'model')}.safetensors{has}"
    raise UsageError(what, str(folder), _COPY)


def _refuse_missing(shards: tuple[str, ...], there: frozenset[str], index: Path) -> None:
    missing = [shard for shard in shards if shard not in there]
    if missing:
        count = f"{len(missing)} of the {len(shards)} files"
        what = f"{count} that {index.name} lists are missing, such as {missing[0]}"
        raise UsageError(what, str(index.parent), _COPY)


def _read_shards(index: Path) -> tuple[str, ...]:
    refuse_pointers((index,))
    try:
        files: Mapping[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return tuple(sorted(set(files.values())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = "this is not an index of weights"
        raise UsageError(what, str(index), "Download it again.") from error


def _pickle(part: Component, there: frozenset[str]) -> tuple[str, ...]:
    return tuple(there & {f"{_pickle_stem(part)}.bin"})


def _pickle_stem(part: Component) -> str:
    return "diffusion_pytorch_model" if part.library == "diffusers" else "pytorch_model"


def _has_plain(folder: Path, part: Component) -> bool:
    there, stem = _names(folder), _pickle_stem(part)
    pickled = any(name.startswith((f"{stem}.bin", f"{stem}-0")) for name in there)
    return pickled or any(_of_variant(there, "")[:2])


def _variants(paths: Iterable[str]) -> set[str]:
    return {read_variant(match) for path in paths if (match := match_weights(path))} - {""}


def _names(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path in folder.glob("*") if path.is_file())
