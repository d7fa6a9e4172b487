"""Which files of a pipeline in diffusers' layout are needed, which are missing, and which are read."""

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
    rf"({'|'.join(STEMS.values())})(\.(?P<variant>\w+))?(?P<shard>-\d{{5}}-of-\d{{5}})?\.safetensors"
    r"(?P<index>\.index(\.(?P<indexed>\w+))?\.json)?"
)
_CONFIGURATION = {"Scheduler": "scheduler_config.json", "Processor": "preprocessor_config.json"}
_TOKENIZERS = {"CLIPTokenizer": ("vocab.json", "merges.txt"), "T5Tokenizer": ("spiece.model",)}
_TOKENS = "tokenizer.json"


class Component(NamedTuple):
    """A part of a pipeline that has files of its own: its folder, and the library and class that read them."""

    name: str
    library: str
    kind: str

    @property
    def configuration(self) -> str:
        """The file that says what the component is; empty for a tokenizer."""
        if "Tokenizer" in self.kind:
            return ""
        return next((file for word, file in _CONFIGURATION.items() if word in self.kind), "config.json")

    @property
    def has_weights(self) -> bool:
        return self.configuration == "config.json"


class WantedFiles(NamedTuple):
    """What is wanted: a model_index.json, one variant of the weights (such as fp16), and no `unused` parts."""

    pipeline: Mapping[str, Any]
    variant: str = ""
    unused: Collection[str] = ()

    @property
    def components(self) -> tuple[Component, ...]:
        named = list_components(self.pipeline).items()
        return tuple(Component(name, *part) for name, part in named if name not in self.unused)

    def load_options(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return options of `ModelSource.load` with the variant among the arguments of from_pretrained."""
        variant = {"variant": self.variant} if self.variant else {}
        return {**options, "arguments": {**variant, **options.get("arguments", {})}}

    @property
    def configurations(self) -> list[str]:
        """The few files that tell what the model is."""
        named = [f"{part.name}/{part.configuration}" for part in self.components if part.configuration]
        return [INDEX, *named]


def select_files(folder: Folder, variant: str) -> WantedFiles:
    """Return what is wanted of a pipeline's repository, given a folder that has its model_index.json."""
    unused = {name for name, part in find_family(folder).fixed_load_arguments.items() if part is None}
    return WantedFiles(folder.index, variant, unused)


def choose_files(listing: Collection[str], wanted: WantedFiles) -> list[str]:
    """Return the files to fetch of a repository, sorted.

    A component without weights of the variant gives its plain ones, as diffusers does. Raises UsageError if a
    component has no safetensors, or none has the variant.
    """
    chosen, varied = [INDEX], False
    for component in wanted.components:
        inside = [path for path in listing if path.startswith(f"{component.name}/") and path.count("/") == 1]
        chosen += [path for path in inside if Path(path).suffix in SMALL and not match_weights(path)]
        if component.has_weights:
            own = _of_variant(inside, wanted.variant).fetched if wanted.variant else ()
            weights = own or _of_variant(inside, "").fetched
            if not weights:
                raise UsageError(f"{component.name} has no safetensors", fix="Pickled weights are never loaded.")
            chosen += weights
            varied |= bool(own)
    if wanted.variant and not varied:
        named = sorted({read_variant(match) for path in listing if (match := match_weights(path))} - {""})
        known = f"It has: {', '.join(named)}." if named else "It has none: leave the variant out."
        raise UsageError(f'no component has weights of the variant "{wanted.variant}"', fix=known)
    return sorted(chosen)


def list_missing_files(folder: Path, wanted: WantedFiles, sure: bool = False) -> list[str]:
    """Return the files that a folder lacks, as far as the files that are there tell: indexes name their shards.

    A component that is here in plain weights only is taken to have no variant, if another has; not if `sure`.
    """
    named = [path.name for part in wanted.components for path in (folder / part.name).glob("*.safetensors")]
    varied = bool(_of_variant(named, wanted.variant).fetched)
    accepted = (wanted.variant, "") if varied and not sure else (wanted.variant,)
    return [
        f"{component.name}/{file}"
        for component in wanted.components
        for file in _list_missing(folder / component.name, component, accepted)
    ]


def _list_missing(folder: Path, component: Component, variants: tuple[str, ...]) -> list[str]:
    if not component.configuration:
        return missing_tokens(folder, component.kind.removesuffix("Fast"))
    absent_files = [] if (folder / component.configuration).is_file() else [component.configuration]
    if component.has_weights:
        absent_files += _list_missing_weights(folder, STEMS.get(component.library, "model"), variants)
    return absent_files


def missing_tokens(folder: Path, kind: str) -> list[str]:
    """Return the files that a tokenizer of this class lacks: its vocabulary, and its tokenizer_config.json."""
    there = {path.name for path in folder.glob("*") if path.is_file()}
    needed = {_TOKENS} if _TOKENS in there or kind not in _TOKENIZERS else {*_TOKENIZERS[kind]}
    if kind not in _TOKENIZERS and there & {"tokenizer.model", "spiece.model", "vocab.json"}:
        needed = set()
    return sorted({*needed, "tokenizer_config.json"} - there)


def _list_missing_weights(folder: Path, stem: str, variants: tuple[str, ...]) -> list[str]:
    there = _names(folder)
    found = next((found for variant in variants if (found := _of_variant(there, variant)).fetched), _Variant())
    suffix = f".{variants[0]}" if variants[0] else ""
    if found.wholes:
        return []
    if found.indexes:
        return sorted({shard for index in found.indexes for shard in _read_shards(folder / index)} - there)
    return [f"{stem}.safetensors.index{suffix}.json" if found.shards else f"{stem}{suffix}.safetensors"]


class _Variant(NamedTuple):
    """Weight files of one variant: whole files, indexes of shards, and shards."""

    wholes: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    shards: tuple[str, ...] = ()

    @property
    def fetched(self) -> tuple[str, ...]:
        """The whole files; else the indexes and shards of the same weights."""
        return self.wholes or (*self.indexes, *self.shards)


def _of_variant(paths: Iterable[str], variant: str) -> _Variant:
    matches = {
        path: match for path in sorted(paths) if (match := match_weights(path)) and read_variant(match) == variant
    }
    wholes = tuple(path for path, match in matches.items() if not match["shard"] and not match["index"])
    indexes = tuple(path for path, match in matches.items() if match["index"])
    return _Variant(wholes, indexes, tuple(path for path in matches if path not in {*wholes, *indexes}))


def match_weights(path: str) -> re.Match[str] | None:
    """Return a match with the groups variant, shard, index and indexed, or None for a file of another kind."""
    return _WEIGHTS.fullmatch(path.rsplit("/", 1)[-1])


def read_variant(match: re.Match[str]) -> str:
    """Return the variant, such as fp16, of weights or of an index; empty for the plain ones."""
    return match["variant"] or match["indexed"] or ""


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


def find_weight_files(folder: Folder, wanted: WantedFiles) -> dict[str, WeightFiles]:
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


def choose_variant(folder: Folder, wanted: WantedFiles) -> str:
    """Return the variant to load where none was asked for: none where all components have plain weights, else the one.

    Raises UsageError where there are several to choose from.
    """
    absent_files = [
        part for part in wanted.components if part.has_weights and not _has_plain(folder.path / part.name, part)
    ]
    found = sorted({variant for part in absent_files for variant in _variants(_names(folder.path / part.name))})
    if len(found) > 1:
        what = f"{absent_files[0].name} has no plain weights, but the variants {', '.join(found)}"
        fix = f'Name one: model = {{source = "folder", path = "…", variant = "{found[0]}"}}'
        raise UsageError(what, str(folder.path), fix)
    return found[0] if found else ""


def list_read_files(folder: Folder, wanted: WantedFiles) -> dict[str, Path]:
    """Return the files that loading a pipeline reads, by their name inside the folder."""
    weights: dict[str, Path] = {}
    for name, found in find_weight_files(folder, wanted).items():
        read = (*found.files, found.shard_index) if found.shard_index else found.files
        weights |= {f"{name}/{file}": found.folder / file for file in read}
    return list_small_files(folder, wanted) | weights


def list_small_files(folder: Folder, wanted: WantedFiles) -> dict[str, Path]:
    """Return the configurations and tokenizers of a pipeline's components, by their name inside the folder."""
    listed = (path for part in wanted.components for path in (folder.path / part.name).glob("*"))
    small = (path for path in listed if path.suffix in SMALL and path.is_file() and not match_weights(path.name))
    return {INDEX: folder.path / INDEX, **{path.relative_to(folder.path).as_posix(): path for path in small}}


def _find(folder: Path, part: Component, variant: str) -> WeightFiles:
    there = _names(folder)
    for word in dict.fromkeys((variant, "")):
        wholes, indexes, _ = _of_variant(there, word)
        if indexes and not (wholes and part.library == "transformers"):
            shards = _read_shards(folder / indexes[0])
            _refuse_missing(shards, there, folder / indexes[0])
            return WeightFiles(folder, shards, indexes[0], word, (*wholes, *_pickle(part, there)))
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


def _refuse_missing(shards: tuple[str, ...], there: frozenset[str], index: Path) -> None:
    missing = [shard for shard in shards if shard not in there]
    if missing:
        what = f"{len(missing)} of the {len(shards)} files that {index.name} lists are missing, such as {missing[0]}"
        raise UsageError(what, str(index.parent), "Copy or download the whole model again.")


def _read_shards(index: Path) -> tuple[str, ...]:
    refuse_pointers((index,))
    try:
        files: Mapping[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return tuple(sorted(set(files.values())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError("this is no index of weights", str(index), "Download it again.") from error


def _pickle(part: Component, there: frozenset[str]) -> tuple[str, ...]:
    return tuple(there & {f"{_pickle_stem(part)}.bin"})


def _pickle_stem(part: Component) -> str:
    return "diffusion_pytorch_model" if part.library == "diffusers" else "pytorch_model"


def _has_plain(folder: Path, part: Component) -> bool:
    there, stem = _names(folder), _pickle_stem(part)
    return any(_of_variant(there, "")) or any(name.startswith((f"{stem}.bin", f"{stem}-0")) for name in there)


def _variants(there: frozenset[str]) -> set[str]:
    return {read_variant(match) for name in there if (match := match_weights(name))} - {""}


def _names(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path in folder.glob("*") if path.is_file())
