"""Models to measure: one file per source."""

import os.path
import re
from typing import Any

from harness.checkpoints.hub import ask_hub, fetch_published, is_offline
from harness.core.catalog import did_you_mean, list_names, resolve
from harness.core.errors import UsageError
from harness.core.matrix import Model
from harness.core.model import ModelSource
from harness.core.parsing import expand_user

__all__ = ["ask_hub", "fetch_published", "is_offline", "model_defaults", "read_model", "resolve_model"]

_HUB_ID = re.compile(r"(?P<id>[A-Za-z0-9][\w.-]*/[\w.-]+)(@(?P<revision>[\w./-]+))?")


def resolve_model(model: Model) -> ModelSource:
    """Return the source that a matrix's `[model]` names, its options validated; UsageError for an unknown one."""
    return resolve("harness.models", model.source, ModelSource).model_validate(model.options)


def model_defaults(model: Model) -> type[ModelSource]:
    """Return the class of a model's source, which knows the prompts and metrics that suit it; UsageError if unknown."""
    return resolve("harness.models", model.source, ModelSource)


def read_model(entry: Any) -> Model:
    """Return the model that a matrix entry means; UsageError for what is none.

    A table has a key `source` and that source's own keys. A word is, in this order, a source that needs no keys
    (`bundled`), a folder or a .safetensors file that is here, a path by its look, or a hub id `owner/name@revision`.
    """
    if isinstance(entry, dict):
        if "source" not in entry:
            known = ", ".join(list_names("harness.models"))
            raise UsageError('a table needs a key "source"', fix=f"Known: {known}")
        return Model(source=str(entry["source"]), options={key: entry[key] for key in entry if key != "source"})
    if not isinstance(entry, str):
        raise UsageError(f"a word or a table is meant, not {entry!r}", fix='Such as model = "path/to/sdxl-folder"')
    return _read_word(entry)


def _read_word(word: str) -> Model:
    if not word.strip():
        raise UsageError("empty; name a model", fix='Such as model = "bundled", or leave the key out for that one')
    if word in list_names("harness.models"):
        return Model(source=word)
    path = expand_user(word)
    if path.suffix == ".safetensors" or os.path.isfile(path):
        return Model(source="file", options={"path": word})
    hub = _HUB_ID.fullmatch(word)
    if os.path.isdir(path) or (hub is None and ("/" in word or word.startswith("~"))):
        return Model(source="folder", options={"path": word})
    if hub is None:
        fix = "Or name a folder, a .safetensors file, or owner/name of the Hugging Face Hub"
        known = did_you_mean(word, list_names("harness.models")).removesuffix(".")
        raise UsageError(f'unknown model "{word}". {known}', fix=fix)
    return Model(source="hub", options={key: text for key, text in hub.groupdict().items() if text})
