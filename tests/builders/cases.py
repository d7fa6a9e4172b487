"""Which cases of a parametrized test run in `make test`, and which in `make test-all` alone."""

from collections.abc import Iterable
from typing import Any

import pytest


def slow_but_first(cases: Iterable[Any]) -> list[Any]:
    """Return the cases, all but the first marked slow."""
    first, *others = cases
    return [
        first,
        *(pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow) for case in others),
    ]


def slow_but(quick: Iterable[str], names: Iterable[str]) -> list[Any]:
    """Return the names, all but the quick ones marked slow."""
    wanted = set(quick)
    return [name if name in wanted else pytest.param(name, marks=pytest.mark.slow) for name in names]
