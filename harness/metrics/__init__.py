"""Metrics, one per file, named `file` or `file:profile`, such as `fid:bundled` or `psnr`.

Listing and checking names imports the small metric files, never torch.
"""

from functools import cache

from harness.core.catalog import did_you_mean, list_names, resolve
from harness.core.errors import UsageError
from harness.metrics._base import Metric, Scorer
from harness.metrics._inventory import Advance, WeightRow, fetch, list_weight_files
from harness.metrics._selftest import self_test
from harness.metrics._weights import Weights, WeightsMissing

__all__ = [
    "Advance",
    "Metric",
    "Scorer",
    "WeightRow",
    "Weights",
    "WeightsMissing",
    "check_metric",
    "check_weights_key",
    "fetch",
    "get_metric",
    "list_weight_files",
    "list_metrics",
    "self_test",
]

_PACKAGE = "harness.metrics"


@cache
def list_metrics() -> tuple[str, ...]:
    """Return every metric with its profiles, such as `fid:bundled`, without importing torch."""
    found: list[str] = []
    for name in list_names(_PACKAGE):
        profiles = resolve(_PACKAGE, name, Metric).profiles  # type: ignore[type-abstract]
        found += [f"{name}:{profile}" for profile in profiles] or [name]
    return tuple(found)


def check_metric(name: str) -> None:
    """Raise UsageError with a suggestion for an unknown metric."""
    if name not in list_metrics():
        raise UsageError(f'unknown metric "{name}". {did_you_mean(name, list_metrics())}')


def get_metric(name: str) -> Metric:
    """Return the description of one metric; its libraries are imported when it is loaded.

    Raises UsageError for an unknown name.
    """
    check_metric(name)
    file, _, profile = name.partition(":")
    return resolve(_PACKAGE, file, Metric)(profile=profile)  # type: ignore[type-abstract]


def check_weights_key(key: str) -> None:
    """Raise UsageError for a key of `[quality.weights]` that no metric needs."""
    known = sorted({wanted.key for name in list_metrics() for wanted in get_metric(name).needs()})
    if key not in known:
        raise UsageError(f"no metric needs weights of this name. {did_you_mean(key, known)}")
