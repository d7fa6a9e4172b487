"""Models to measure: one file per source, such as a folder or the Hub."""

import os.path
import re
from typing import Any

from harness.core.catalog import did_you_mean, list_names, resolve
from harness.core.errors import UsageError
from harness.core.matrix import Model
from harness.core.model import ModelSource
from harness.core.parsing import expand_user

__all__ = ["QUANTIZERS", "read_model", "resolve_model", "resolve_source"]

QUANTIZERS = ("torchao", "bitsandbytes")
"""Packages that ask CUDA for its devices while they are imported."""

_HUB_ID = re.compile(r"(?P<id>[A-Za-z0-9][\w.-]*/[\w.-]+)(@(?P<revision>[\w./-]+))?")


def resolve_model(model: Model) -> ModelSource:
    """Return the model source of a matrix with validated options; UsageError if it is unknown."""
    return resolve("harness.models", model.source, ModelSource).model_validate(model.options)


def resolve_source(model: Model) -> type[ModelSource]:
    """Return the class of a model source, with default prompts and metrics, or UsageError."""
    return resolve("harness.models", model.source, ModelSource)


def read_model(entry: Any) -> Model:
    """Return the model that a matrix entry names, or UsageError.

    A table has the key `source` and the keys of that source. A word is, in this order: a source
    that needs no keys (`bundled`), an existing folder or .safetensors file, a path by its form, or
    a Hub id `owner/name@revision`.
    """
    if isinstance(entry, dict):
        if "source" not in entry:
            known = ", ".join(list_names("harness.models"))
            raise UsageError('a table needs a key "source"', fix=f"Known: {known}")
        options = {key: entry[key] for key in entry if key != "source"}
        return Model(source=str(entry["source"]), options=options)
    if not isinstance(entry, str):
        what = f"must be a word or a table, not {entry!r}"
        raise UsageError(what, fix='Such as model = "path/to/sdxl-folder"')
    return _read_word(entry)


def _read_word(word: str) -> Model:
    if not word.strip():
        fix = 'Such as model = "bundled", or leave the key out for that one'
        raise UsageError("empty; name a model", fix=fix)
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
