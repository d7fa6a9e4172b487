"""Sign-off: sign the verdicts of a run, and verify the bundle later or where it is deployed."""

import hashlib
import tempfile
from dataclasses import replace
from datetime import date, datetime, timezone
from pathlib import Path
from typing import NamedTuple

from harness import signing
from harness.core.errors import NothingToDo, ResultsError
from harness.core.parsing import expand_user
from harness.core.policy import Policy
from harness.core.sign_off import SignedBundle, SignOff
from harness.core.verdict import Judgement
from harness.gating import judge_run
from harness.matrix import load_policy, matches, policy_names
from harness.models import resolve_model
from harness.results import Run
from harness.signing import (
    Demands,
    KeylessSigner,
    KeySigner,
    Material,
    Signer,
    SignerIdentity,
    Verification,
)
from harness.store import append_signed
from harness.store.layout import bundle_path
from harness.store.write import write_atomically

POLICY = "sign-off"
"""The policy that judges if none is named."""


class Signed(NamedTuple):
    """A bundle that was written, and what it states."""

    path: Path
    sha256: str
    sign_off: SignOff


class Wanted(NamedTuple):
    """What to sign: by which policy, which cells (globs on ids), and where the bundle goes."""

    policy: str = POLICY
    select: tuple[str, ...] = ()
    out: Path | None = None
    today: date | None = None
    """The day of signing in UTC; None: today."""


ALL = Wanted()


def sign(run: Path, key: Path | None, wanted: Wanted = ALL) -> Signed:
    """Judge a finished run, sign the cells that pass, and write the bundle.

    Without a key an identity signs by Sigstore (extra `sigstore`). The run's own verdicts stay as
    they are; its folder gets a record of the bundle. Raises ResultsError for an unfinished run or
    for images and weights that changed since, UndecidedCells over verdicts that are missing or
    inconclusive without a waiver, NotSignedOff if no cell passes.
    """
    signer = _choose_signer(key)
    today = wanted.today or _utc_today()
    judged = _judge_finished(run, load_policy(wanted.policy), today)
    cells = signing.choose_cells(_judgement(judged), _select(judged, wanted.select))
    images = signing.hash_images(judged)
    weights = signing.hash_weights(judged.plan, resolve_model(judged.plan.matrix.model))
    with tempfile.TemporaryDirectory(prefix="harness-sign-") as place:
        staged, pages = _stage(judged, Path(place))
        members = signing.collect_members(staged, pages, judged, images, weights)
    draft = signing.describe_sign_off(judged, cells, today)
    data, sign_off = signing.make_bundle(judged, draft, Material(members, images, weights), signer)
    path = expand_user(wanted.out) if wanted.out else bundle_path(run, sign_off.policy.name)
    write_atomically(path, data, "--out")
    signed = Signed(path, hashlib.sha256(data).hexdigest(), sign_off)
    append_signed(run, _record(signed))
    return signed


def verify(
    bundle: Path,
    *,
    key: Path | SignerIdentity | None = None,
    policy: str | None = None,
    deployed: Path | None = None,
    today: date | None = None,
) -> Verification:
    """Check a bundle: signature, hashes, verdicts judged again from its scores, policy, expiry.

    `key` is the signer's public key, or the identity that signed without one. Without it the key
    in the bundle is taken, which shows that the bundle is whole, not who signed it. `deployed` is a
    folder to compare with what was signed.
    """
    demands = Demands(
        today=today or _utc_today(),
        signer=signing.read_public_key(expand_user(key)) if isinstance(key, Path) else key,
        policy=load_policy(policy) if policy else None,
        deployed=expand_user(deployed) if deployed else None,
    )
    return signing.verify_bundle(expand_user(bundle), demands, judge_run)


def new_key(path: Path) -> Path:
    """Write a new ed25519 key and return the file of its public half."""
    return signing.write_new_key(expand_user(path))


def is_shipped_policy(name: str, file_sha256: str) -> bool | None:
    """Return whether a policy is the shipped one of its name; None if none ships by that name."""
    return load_policy(name).sha256 == file_sha256 if name in policy_names() else None


def _choose_signer(key: Path | None) -> Signer:
    if key is not None:
        return KeySigner(signing.read_private_key(expand_user(key)))
    signing.require_sigstore()
    return KeylessSigner()


def _judge_finished(folder: Path, policy: Policy, today: date) -> Run:
    """Return a finished, evaluated run with its verdicts by a policy."""
    run = Run.load(folder)
    if left := [planned.id for planned in run.plan.cells if planned.id not in run.outcomes]:
        what = f"the run is not finished: {', '.join(left)}"
        fix = f"Run: harness bench {folder.name}"
        raise ResultsError(what, str(folder), fix)
    if run.evaluation is None and run.plan.model.quality_applies:
        fix = f"Run: harness evaluate {folder.name}"
        raise ResultsError("the run was not evaluated yet", str(folder), fix)
    return replace(run, judgement=judge_run(run, policy, today))


def _judgement(run: Run) -> Judgement:
    assert run.judgement is not None
    return run.judgement


def _select(run: Run, globs: tuple[str, ...]) -> tuple[str, ...]:
    ids = [cell.id for cell in run.candidates]
    chosen = tuple(cell_id for cell_id in ids if matches(cell_id, globs))
    if not chosen:
        known = f"The cells are: {', '.join(ids)}"
        raise NothingToDo(f"no cell fits {', '.join(globs)}", "--select", known)
    return chosen


def _stage(run: Run, place: Path) -> tuple[Path, Path]:
    """Write a run's records, its report, and return the folders of both."""
    from harness.reporting import write_report

    staged = signing.stage_run(run, _judgement(run), place / "results")
    pages = place / "reports" / staged.name
    write_report(staged, pages, timed=False)
    return staged, pages


def _record(signed: Signed) -> SignedBundle:
    stated = signed.sign_off
    return SignedBundle(
        sha256=signed.sha256,
        path=str(signed.path),
        policy=stated.policy.name,
        cells=stated.cells,
        signed_on=stated.signed_on,
        expires_on=stated.expires_on,
    )


def _utc_today() -> date:
    return datetime.now(timezone.utc).date()
