"""Find mistakes in a matrix beyond types: unknown axes, values, options, metrics, prompt sets,
models."""

import os.path
from collections.abc import Callable
from functools import partial

from harness.axes import read_entry
from harness.core.catalog import did_you_mean, list_names, resolve
from harness.core.errors import UsageError
from harness.core.matrix import Entry, Matrix
from harness.core.model import ModelSource
from harness.core.parsing import expand_user, read_record
from harness.matrix.expand import expand
from harness.matrix.policy import rule_problems, unmeasured
from harness.metrics import check_metric, check_weights_key
from harness.prompts import check_prompt_set


def find_problems(matrix: Matrix | None) -> list[str]:
    """Return every mistake in a matrix whose types are right, each with its key."""
    if matrix is None:
        return []
    problems = _axis_problems(matrix)
    problems += _model_problems(matrix)
    problems += _attempt("prompts.set", lambda: check_prompt_set(matrix.prompts.set))
    for metric in matrix.quality.metrics:
        problems += _attempt("quality.metrics", lambda metric=metric: check_metric(metric))  # type: ignore[misc]
    for key in matrix.quality.weights:
        problems += _attempt(f"quality.weights.{key}", lambda key=key: check_weights_key(key))  # type: ignore[misc]
    problems += rule_problems(matrix.gate, "gate", matrix.quality.metrics)
    problems += unmeasured(matrix.gate, "gate", matrix)
    if matrix.quality.max and matrix.quality.images != "auto":
        problems.append(
            'quality.max: means something only with quality.images = "auto"; prompts.limit sets '
            "all cells'"
        )
    problems += _path_problems(matrix)
    if matrix.prompts.latent and len(matrix.seeds) > 1:
        problems.append(
            "seeds: with prompts.latent every seed gives the same image; name one, such as seeds "
            "= [0]"
        )
    if not matrix.seeds:
        problems.append("seeds: empty; at least one seed is needed, such as seeds = [0]")
    if len(set(matrix.seeds)) != len(matrix.seeds):
        problems.append("seeds: a seed stands there twice")
    if len(set(matrix.quality.metrics)) != len(matrix.quality.metrics):
        problems.append("quality.metrics: a metric stands there twice")
    if not matrix.quality.metrics:
        problems.append('quality.metrics: empty; name at least one, such as "clip:bundled"')
    return problems


def _path_problems(matrix: Matrix) -> list[str]:
    problems: list[str] = []
    reference = matrix.quality.reference
    if reference is not None and not reference.strip():
        problems.append(
            "quality.reference: empty; name a folder of real images, or leave the key out"
        )
    elif reference is not None and not os.path.exists(expand_user(reference)):
        problems.append(
            f"quality.reference: no such file or folder: {expand_user(reference).absolute()}"
        )
    if matrix.prompts.latent and not os.path.isfile(expand_user(matrix.prompts.latent)):
        problems.append(
            f"prompts.latent: no such file: {expand_user(matrix.prompts.latent).absolute()}"
        )
    return problems


def _axis_problems(matrix: Matrix) -> list[str]:
    if not matrix.axes:
        return ["axes: empty; name at least one axis, such as steps = [50, 20, 4]"]
    problems: list[str] = []
    for axis, entries in matrix.axes.items():
        if not entries:
            problems.append(f"axes.{axis}: empty; give at least one value")
        seen: set[str] = set()
        for entry in entries:
            found = _attempt(f"axes.{axis}", lambda axis=axis, entry=entry: read_entry(axis, entry))  # type: ignore[misc]
            problems += found
            if not found:
                word = str(read_entry(axis, entry))
                problems += [f"axes.{axis}: {word} stands there twice"] if word in seen else []
                seen.add(word)
    for place, patterns in (("exclude", matrix.exclude), ("include", matrix.include)):
        for number, pattern in enumerate(patterns):
            problems += _entries(f"{place}[{number}]", pattern)
            if not pattern:
                problems.append(f"{place}[{number}]: empty; name at least one axis")
    problems += _entries("baseline", matrix.baseline)
    if not problems and not expand(matrix):
        problems.append("exclude: everything is excluded; no cell is left")
    return problems


def _entries(place: str, entries: dict[str, Entry]) -> list[str]:
    problems: list[str] = []
    for axis, entry in entries.items():
        problems += _attempt(f"{place}.{axis}", partial(read_entry, axis, entry))
    return problems


def _model_problems(matrix: Matrix) -> list[str]:
    sources = list_names("harness.models")
    if matrix.model.source not in sources:
        return [
            f'model.source: unknown source "{matrix.model.source}". '
            f"{did_you_mean(matrix.model.source, sources)}"
        ]
    source = resolve("harness.models", matrix.model.source, ModelSource)
    unknown = [key for key in matrix.model.options if key not in source.model_fields]
    if unknown:
        return [f'model.{key}: "{matrix.model.source}" has no such key. '
                f"{did_you_mean(key, source.model_fields)}" for key in unknown]  # fmt: skip
    _, problems = read_record(source, matrix.model.options)
    return [f"model.{problem}" for problem in problems]


def _attempt(key: str, check: Callable[[], object]) -> list[str]:
    try:
        check()
    except UsageError as error:
        return [f"{key}: {error.what}"]
    return []
