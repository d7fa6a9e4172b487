"""Why a bundle does not count: one record per reason, with the name of what is wrong."""

from typing import Literal

from harness.core.base import Frozen

RefusalKind = Literal[
    "archive", "envelope", "signature", "key", "format", "statement", "changed", "dropped",
    "added", "records", "verdict", "policy", "expired", "waiver-expired", "weights", "adapter",
    "settings",
]  # fmt: skip
"""archive: not the bytes that signing writes · envelope: not an envelope with one signature ·
signature, key: not signed, or by another key · format: of another version · statement: says what
the bundle does not hold · changed, dropped, added: a member · records: unreadable, or at odds ·
verdict: judging again says otherwise · the others: the bundle is sound, but not fit to ship."""

NOT_FIT: frozenset[RefusalKind] = frozenset(
    {"policy", "expired", "waiver-expired", "weights", "adapter", "settings"}
)
"""Reasons that leave the bundle itself sound."""


class Refusal(Frozen):
    """One reason why a bundle is refused; `where` names the member, cell, file or key."""

    kind: RefusalKind
    where: str
    what: str


class RefusedError(Exception):
    """Verification cannot go on; carries the reasons."""

    def __init__(self, *refusals: Refusal) -> None:
        super().__init__("; ".join(refusal.what for refusal in refusals))
        self.refusals = refusals


def refuse(kind: RefusalKind, where: str, what: str) -> RefusedError:
    """Return the error for a single reason."""
    return RefusedError(Refusal(kind=kind, where=where, what=what))
