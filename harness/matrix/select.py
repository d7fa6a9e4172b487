"""Choose cells by name."""

from fnmatch import fnmatchcase


def matches(cell_id: str, patterns: tuple[str, ...]) -> bool:
    """Return whether an id fits one of the glob patterns (`*fp8*`, `4-steps_*`); no pattern fits all."""
    return not patterns or any(fnmatchcase(cell_id, pattern) for pattern in patterns)
