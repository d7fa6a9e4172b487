"""Which files of a pipeline in diffusers' layout are needed: of a hub's listing, and what a folder still lacks.

A hub repository holds the same weights several times (float32, fp16, Flax, ONNX, one single file). Wanted are
model_index.json and, of every component it names, the configurations and one set of safetensors.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.core.errors import UsageError
from harness.models._folder import INDEX, Folder, components_of
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


class Wanted(NamedTuple):
    """What is wanted: a model_index.json, one variant of the weights (such as fp16), and no `unused` parts."""

    pipeline: Mapping[str, Any]
    variant: str = ""
    unused: Collection[str] = ()

    @property
    def components(self) -> tuple[Component, ...]:
        named = components_of(self.pipeline).items()
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


def wanted_of(folder: Folder, variant: str) -> Wanted:
    """Return what is wanted of a pipeline's repository, given a folder that has its model_index.json."""
    unused = {name for name, part in find_family(folder).fixed_load_arguments.items() if part is None}
    return Wanted(folder.index, variant, unused)


def choose_files(listing: Collection[str], wanted: Wanted) -> list[str]:
    """Return the files to fetch of a repository, sorted.

    A component without weights of the variant gives its plain ones, as diffusers does. Raises UsageError if a
    component has no safetensors, or none has the variant.
    """
    chosen, varied = [INDEX], False
    for component in wanted.components:
        inside = [path for path in listing if path.startswith(f"{component.name}/") and path.count("/") == 1]
        chosen += [path for path in inside if Path(path).suffix in SMALL and not match_weights(path)]
        if component.has_weights:
            own = _of_variant(inside, wanted.variant) if wanted.variant else []
            weights = own or _of_variant(inside, "")
            if not weights:
                raise UsageError(f"{component.name} has no safetensors", fix="Pickled weights are never loaded.")
            chosen += weights
            varied |= bool(own)
    if wanted.variant and not varied:
        named = sorted({variant_of(match) for path in listing if (match := match_weights(path))} - {""})
        known = f"It has: {', '.join(named)}." if named else "It has none: leave the variant out."
        raise UsageError(f'no component has weights of the variant "{wanted.variant}"', fix=known)
    return sorted(chosen)


def lacking_files(folder: Path, wanted: Wanted, sure: bool = False) -> list[str]:
    """Return the files that a folder lacks, as far as the files that are there tell: indexes name their shards.

    A component that is here in plain weights only is taken to have no variant, if another has; not if `sure`.
    """
    named = [path.name for part in wanted.components for path in (folder / part.name).glob("*.safetensors")]
    accepted = (wanted.variant,) if sure or not _of_variant(named, wanted.variant) else (wanted.variant, "")
    return [
        f"{component.name}/{file}"
        for component in wanted.components
        for file in _lacking(folder / component.name, component, accepted)
    ]


def _lacking(folder: Path, component: Component, variants: tuple[str, ...]) -> list[str]:
    if not component.configuration:
        return lacking_tokens(folder, component.kind.removesuffix("Fast"))
    lacking = [] if (folder / component.configuration).is_file() else [component.configuration]
    if component.has_weights:
        lacking += _lacking_weights(folder, STEMS.get(component.library, "model"), variants)
    return lacking


def lacking_tokens(folder: Path, kind: str) -> list[str]:
    """Return the files that a tokenizer of this class lacks: its vocabulary, and its tokenizer_config.json."""
    there = {path.name for path in folder.glob("*") if path.is_file()}
    needed = {_TOKENS} if _TOKENS in there or kind not in _TOKENIZERS else {*_TOKENIZERS[kind]}
    if kind not in _TOKENIZERS and there & {"tokenizer.model", "spiece.model", "vocab.json"}:
        needed = set()
    return sorted({*needed, "tokenizer_config.json"} - there)


def _lacking_weights(folder: Path, stem: str, variants: tuple[str, ...]) -> list[str]:
    there = [path.name for path in folder.glob("*.safetensors*") if path.is_file()]
    weights = next((found for variant in variants if (found := _of_variant(there, variant))), [])
    suffix = f".{variants[0]}" if variants[0] else ""
    if not weights:
        return [f"{stem}{suffix}.safetensors"]
    indexes = [file for file in weights if file.endswith(".json")]
    if not indexes and any("-of-" in file for file in weights):
        return [f"{stem}.safetensors.index{suffix}.json"]
    shards = {shard for file in indexes for shard in _shards(folder / file)}
    return sorted(shards - set(there))


def _shards(index: Path) -> set[str]:
    return set(json.loads(index.read_text(encoding="utf-8")).get("weight_map", {}).values())


def _of_variant(paths: Iterable[str], variant: str) -> list[str]:
    """The weights of one variant with their index; one whole file rather than shards of the same weights."""
    matches = {path: match for path in paths if (match := match_weights(path)) and variant_of(match) == variant}
    whole = [path for path, match in matches.items() if not match["shard"] and not match["index"]]
    return whole or list(matches)


def match_weights(path: str) -> re.Match[str] | None:
    """Return a match with the groups variant, shard, index and indexed, or None for a file of another kind."""
    return _WEIGHTS.fullmatch(path.rsplit("/", 1)[-1])


def variant_of(match: re.Match[str]) -> str:
    """Return the variant, such as fp16, of weights or of an index; empty for the plain ones."""
    return match["variant"] or match["indexed"] or ""
