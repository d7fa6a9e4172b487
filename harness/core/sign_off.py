"""What a sign-off bundle states, and the record that it leaves in the folder of its run."""

from datetime import date
from typing import Annotated

from pydantic import Field

from harness.core.base import Frozen
from harness.core.policy import Waiver
from harness.core.verdict import Result

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class SignedBundle(Frozen):
    """One bundle that was made of a run."""

    sha256: Sha256
    """Of the bundle's bytes."""
    path: str
    policy: str
    cells: tuple[str, ...]
    signed_on: date
    expires_on: date


class SignedPolicy(Frozen):
    """The policy that judged: `sha256` is of the bundle's policy.json, `file_sha256` of the file it
    was read from."""

    name: str
    sha256: Sha256
    file_sha256: str


class SignOff(Frozen):
    """The predicate of the in-toto statement: who may ship what, by which verdicts, until when."""

    run_id: str
    harness: str
    """The version that judged and signed."""
    signed_on: date
    expires_on: date
    """The last day on which the bundle counts (UTC)."""
    policy: SignedPolicy
    model: str
    model_digest: str
    cells: tuple[str, ...]
    """The cells that may ship."""
    verdicts: dict[str, Result]
    """Of every judged cell of the run."""
    waivers: tuple[Waiver, ...] = ()
    """The waivers without which the cells would not pass."""
    images: int
    images_checked: int
    """Images that were on disk at signing and had the digest that the run recorded."""
    members: dict[str, Sha256]
    """Name → sha256 of every file of the bundle but the envelope."""
