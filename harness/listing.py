"""Lists: axes and their values, shipped matrices and policies, and the weights of metrics."""

from pathlib import Path
from typing import Any

from harness.axes import get_axis, list_value_names, load_axes, resolve_setting
from harness.checkpoints.hub import is_offline
from harness.core.axis import AxisValue, Setting
from harness.core.base import Advance
from harness.core.catalog import resolve
from harness.core.errors import UsageError
from harness.core.machine import Machine
from harness.core.parsing import expand_user, read_toml
from harness.core.plan import Plan
from harness.core.policy import Policy
from harness.matrix import (
    is_shipped,
    load_matrix,
    load_policy,
    matrix_names,
    matrix_text,
    policy_names,
    policy_text,
)
from harness.measure.machine import describe_machine
from harness.metrics import (
    Metric,
    WeightRow,
    Weights,
    fetch,
    get_metric,
    list_metrics,
    list_weight_files,
)
from harness.store import read_plan
from harness.store.write import write_atomically

FETCHED = "fetched on first use"


def list_axes(names: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Return one row per value of the named axes (none: all).

    Summary, options, needs, availability. Raises UsageError for an unknown axis.
    """
    machine = describe_machine()
    rows = []
    for axis in [get_axis(name) for name in names] or load_axes():
        free = (
            [resolve(f"harness.axes.{axis.name}", axis.open_value, AxisValue)]
            if axis.open_value
            else []
        )
        named = {
            name: resolve_setting(Setting(axis=axis.name, name=name))
            for name in list_value_names(axis.name)
        }
        rows += [_axis_row(axis.name, "…", value, "yes") for value in free]
        rows += [
            _axis_row(axis.name, name, value, _here(value, machine))
            for name, value in named.items()
        ]
    return rows


def _here(value: AxisValue, machine: Machine) -> str:
    """Return "yes", the reason why not, or that its files are downloaded on first use."""
    absent_files = value.wants(None)
    if absent_files and is_offline():
        return f"{absent_files[0]} is not in the Hugging Face cache, and HF_HUB_OFFLINE is set"
    return str(value.unavailable(machine) or (FETCHED if absent_files else "yes"))


def _axis_row(
    axis: str, name: str, value: type[AxisValue] | AxisValue, here: str
) -> dict[str, Any]:
    fields = {} if isinstance(value, type) else type(value).model_fields
    options = {
        name: {
            "default": field.get_default(call_default_factory=True),
            "about": field.description or "",
        }
        for name, field in fields.items()
    }
    return {
        "axis": axis, "value": name, "summary": value.summary,
        "options": options, "needs": value.needs, "here": here,
    }  # fmt: skip


def list_matrices() -> dict[str, str]:
    """Return the shipped matrices: name → subject."""
    return {
        name: str(read_toml(matrix_text(name, name))[0].get("about", "")) for name in matrix_names()
    }


def write_matrix(name: str, target: Path | None = None) -> Path:
    """Write an editable copy of a shipped matrix and return its path.

    UsageError if the file exists.
    """
    path = target or Path(f"{name}.toml")
    text = matrix_text(name, str(path))
    if path.exists():
        raise UsageError(
            "this file exists already", str(path), f"Name another: harness init {name} FILE"
        )
    write_atomically(path, text.encode())
    return path


def list_policies() -> tuple[Policy, ...]:
    """Return the shipped policies."""
    return tuple(load_policy(name) for name in policy_names())


def show_policy(name: str) -> str:
    """Return the text of a shipped policy, to read or to copy."""
    return policy_text(name)


def weights(
    names: tuple[str, ...] = (), *, download: bool = False, advance: Advance | None = None
) -> tuple[WeightRow, ...]:
    """Return one row per weight file that a matrix file or metrics need.

    Without names, of all metrics. `download` downloads missing files first. Raises UsageError for
    an unknown name, or for `download` without one; MachineError if a file cannot be downloaded or
    is not the expected one.
    """
    metrics, places = _metrics_and_places(names)
    if download:
        if not names:
            fix = "Such as: harness weights --download fid:mlperf"
            raise UsageError("--download needs to know for what: a matrix file or metrics", fix=fix)
        fetch(metrics, places, advance)
    return list_weight_files(metrics, places)


def _metrics_and_places(names: tuple[str, ...]) -> tuple[list[Metric], Weights]:
    files = [
        n for n in names if n.endswith(".toml") or expand_user(n).is_file() or is_shipped(Path(n))
    ]
    wanted = [name for name in names if name not in files]
    paths: dict[str, str] = {}
    for file in files:
        quality = load_matrix(Path(file), None, None)[0].quality
        wanted += quality.metrics
        paths |= quality.weights
    wanted = list(dict.fromkeys(wanted)) if names else list(list_metrics())
    return [get_metric(name) for name in wanted], Weights.of(paths)


def scoring_weights(decided: Plan | Path) -> tuple[WeightRow, ...]:
    """Return one row per weight file that a plan's or a run's metrics need.

    None if images are not scored.
    """
    decided = decided if isinstance(decided, Plan) else read_plan(decided)
    quality = decided.matrix.quality
    metrics = (
        [get_metric(name) for name in quality.metrics] if decided.model.quality_applies else []
    )
    return list_weight_files(metrics, Weights.of(quality.weights))
