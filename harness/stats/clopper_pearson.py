"""Exact bounds on a share from a count (Clopper & Pearson 1934)."""


def share_upper(count: int, n: int, level: float = 0.95) -> float:
    """Return the one-sided upper bound at `level` on a share of which `count` of `n` were seen.

    Raises ValueError unless 0 <= count <= n and n > 0.
    """
    _check(count, n)
    if count == n:
        return 1.0
    from scipy.special import betaincinv

    return float(betaincinv(count + 1, n - count, level))


def share_lower(count: int, n: int, level: float = 0.95) -> float:
    """Return the one-sided lower bound at `level` on a share of which `count` of `n` were seen."""
    return 1 - share_upper(n - count, n, level)


def _check(count: int, n: int) -> None:
    if n <= 0 or not 0 <= count <= n:
        raise ValueError(f"{count} of {n} is not a share")
