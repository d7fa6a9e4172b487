"""Plug-in folders: a name is a file name; listing imports nothing, resolving a name imports one
file."""

import difflib
import importlib
import importlib.util
import pkgutil
from collections.abc import Iterable
from functools import cache
from typing import TypeVar

from harness.core.errors import UsageError

T = TypeVar("T")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `Did you mean "x"? Known: …` for an unknown word."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    guess = f'Did you mean "{close[0]}"? ' if close else ""
    return f"{guess}Known: {', '.join(names)}."


@cache
def list_names(package: str, folders: bool = False) -> tuple[str, ...]:
    """Return the names of a folder's plug-ins (`fp8_quanto.py` is `fp8-quanto`), without importing
    them.

    Plug-ins are files, or sub-folders with `folders`; names with a leading underscore are excluded.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise UsageError(f"{package} is not a folder of plug-ins")
    found = pkgutil.iter_modules(spec.submodule_search_locations)
    names = (
        module.name
        for module in found
        if module.ispkg == folders and not module.name.startswith("_")
    )
    return tuple(sorted(name.replace("_", "-") for name in names))


def resolve(package: str, name: str, base: type[T]) -> type[T]:
    """Import the file of a plug-in and return the subclass of `base` that it defines.

    Raises UsageError for an unknown name.
    """
    if name not in list_names(package):
        word = package.rsplit(".", 1)[-1]
        raise UsageError(f'unknown {word} "{name}". {did_you_mean(name, list_names(package))}')
    module = importlib.import_module(f"{package}.{name.replace('-', '_')}")
    defined = [
        member
        for member in vars(module).values()
        if isinstance(member, type)
        and issubclass(member, base)
        and member.__module__ == module.__name__
    ]
    if len(defined) != 1:
        raise TypeError(
            f"{module.__name__} must define exactly one {base.__name__}, it defines {len(defined)}"
        )
    return defined[0]
