"""Verification of a bundle: signature, hashes, verdicts judged again, policy, expiry, deployment.

Order matters: nothing that the signature does not cover is interpreted before it was checked.
"""

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from harness.core.base import Frozen
from harness.core.errors import HarnessError, UsageError
from harness.core.outcome import Completed
from harness.core.policy import Policy, PolicyFile
from harness.core.sign_off import SignOff
from harness.core.verdict import Judgement
from harness.results import Run
from harness.signing.archive import pack, unpack
from harness.signing.bundle import list_subjects
from harness.signing.comparison import compare_judgements
from harness.signing.contents import (
    DEPLOYMENTS,
    IMAGE_HASHES,
    POLICY,
    WEIGHT_HASHES,
    describe_deployment,
    name_image,
    read_weights,
    write_files,
)
from harness.signing.deployment import check_deployment
from harness.signing.envelope import ENVELOPE, SIGNER, unseal, write_json
from harness.signing.keyless import SIGSTORE_BUNDLE, SignerIdentity, unseal_keyless
from harness.signing.keys import fingerprint, parse_public_key
from harness.signing.refusal import NOT_FIT, Refusal, RefusedError, refuse
from harness.signing.statement import read_statement

JudgeAgain = Callable[[Run, Policy, date], Judgement]
"""Given the run of a bundle, its policy and the day of signing, returns the verdicts."""


class Demands(NamedTuple):
    """What a bundle must hold up to: who signed, a policy, a deployed folder, a day (UTC)."""

    today: date
    signer: Ed25519PublicKey | SignerIdentity | None = None
    policy: Policy | None = None
    deployed: Path | None = None


class Verification(Frozen):
    """The answer about a bundle: verified if there are no refusals."""

    bundle: str
    sha256: str
    signer: str = ""
    """The fingerprint of the key that signed, or the identity; empty if none did."""
    known_signer: bool = False
    """Whether the caller named the signer; else anyone may have signed."""
    sign_off: SignOff | None = None
    deployed: str = ""
    """The signed cell that the deployed folder holds."""
    refusals: tuple[Refusal, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether the bundle itself is as it was signed, even if it does not allow what was
        asked."""
        return all(refusal.kind in NOT_FIT for refusal in self.refusals)


def verify_bundle(path: Path, demands: Demands, judge: JudgeAgain) -> Verification:
    """Check a bundle; every reason to refuse it is in the answer.

    Raises UsageError if the file cannot be read.
    """
    data = _read(path)
    answer = Verification(bundle=str(path), sha256=hashlib.sha256(data).hexdigest())
    update: dict[str, object] = {}
    try:
        members = unpack(data)
        payload, signer = _open(members, demands.signer)
        sign_off, subjects = read_statement(payload)
        update |= {"signer": signer, "known_signer": demands.signer is not None}
        update["sign_off"] = sign_off
        _check_members(data, members, sign_off)
        _check_consistency(members, sign_off, subjects, signer)
        refusals = (
            *_judge_again(members, sign_off, judge),
            *_check_policy(members, demands.policy),
            *_check_expiry(sign_off, demands.today),
        )
        if demands.deployed is not None:
            deployed = check_deployment(demands.deployed, members)
            update["deployed"] = deployed.cell
            refusals += deployed.refusals
    except RefusedError as error:
        refusals = error.refusals
    return answer.model_copy(update={**update, "refusals": refusals})


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        what = f"cannot read the bundle: {error.strerror}"
        raise UsageError(what, str(path), "Name the file that harness sign wrote.") from error


def _open(
    members: Mapping[str, bytes], wanted: Ed25519PublicKey | SignerIdentity | None
) -> tuple[bytes, str]:
    """Return the signed statement, and the name of its signer."""
    if SIGSTORE_BUNDLE in members and ENVELOPE not in members:
        if not isinstance(wanted, SignerIdentity):
            what = "signed without a key: name who may have, with --identity and --issuer"
            raise refuse("key", SIGSTORE_BUNDLE, what)
        return unseal_keyless(members[SIGSTORE_BUNDLE], wanted), wanted.name
    if ENVELOPE not in members:
        raise refuse("dropped", ENVELOPE, "missing: nothing is signed")
    if isinstance(wanted, SignerIdentity):
        raise refuse("key", ENVELOPE, "signed with a key, not by an identity: use --key PUB")
    key = wanted or _read_signer(members)
    return unseal(members[ENVELOPE], key), fingerprint(key)


def _read_signer(members: Mapping[str, bytes]) -> Ed25519PublicKey:
    if SIGNER not in members:
        raise refuse("dropped", SIGNER, "missing: the public key of the signer")
    if (key := parse_public_key(members[SIGNER])) is None:
        raise refuse("changed", SIGNER, "not a PEM file with an ed25519 public key")
    return key


def _check_members(data: bytes, members: Mapping[str, bytes], sign_off: SignOff) -> None:
    """Raise RefusedError for members that are changed, dropped or added, and for further bytes."""
    envelope = ENVELOPE if ENVELOPE in members else SIGSTORE_BUNDLE
    expected, present = sign_off.members, members.keys() - {envelope}
    refusals = [
        Refusal(kind="changed", where=name, what="its sha256 is not the signed one")
        for name in sorted(expected.keys() & present)
        if hashlib.sha256(members[name]).hexdigest() != expected[name]
    ]
    for kind, names, what in (
        ("dropped", expected.keys() - present, "signed, but missing in the bundle"),
        ("added", present - expected.keys(), "in the bundle, but not signed"),
    ):
        refusals += [Refusal.model_validate({"kind": kind, "where": name, "what": what})
                     for name in sorted(names)]  # fmt: skip
    if refusals:
        raise RefusedError(*refusals)
    if pack(members) != data:
        raise refuse("archive", "bundle", "bytes outside of its members were changed")


def _check_consistency(
    members: Mapping[str, bytes],
    sign_off: SignOff,
    subjects: Mapping[str, str],
    signer: str,
) -> None:
    """Raise RefusedError if the statement says what the signed members do not."""
    if ENVELOPE in members and fingerprint(_read_signer(members)) != signer:
        raise refuse("key", SIGNER, "not the key that signed")
    try:
        weights = read_weights(members[WEIGHT_HASHES])
        Policy.model_validate_json(members[POLICY])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        what = f"policy or hashes are unreadable: {str(error).splitlines()[0]}"
        raise refuse("records", "bundle", what) from error
    if subjects != list_subjects(sign_off, weights.model):
        raise refuse("statement", ENVELOPE, "its subjects are not the files that may ship")
    if sign_off.policy.sha256 != sign_off.members.get(POLICY):
        raise refuse("policy", POLICY, "not the policy of the statement")


def _judge_again(
    members: Mapping[str, bytes], sign_off: SignOff, judge: JudgeAgain
) -> tuple[Refusal, ...]:
    """Judge the scores of a bundle again; return what differs from the signed verdicts."""
    with tempfile.TemporaryDirectory(prefix="harness-verify-") as place:
        try:
            run = Run.load(write_files(members, Path(place)))
            policy = Policy.model_validate_json(members[POLICY])
            again = judge(run, policy, sign_off.signed_on)
        except (HarnessError, ValidationError, LookupError) as error:
            first = str(error).replace(f"{place}/", "").splitlines()[0]
            return (Refusal(kind="records", where="run", what=f"cannot be judged: {first}"),)
        if run.judgement is None or run.judgement.policy != policy:
            what = "the verdicts are not by the policy of the bundle"
            return (Refusal(kind="policy", where=POLICY, what=what),)
        signed = run.judgement
        return (
            *compare_judgements(signed, again),
            *_compare_statement(sign_off, run),
            *_compare_hashes(members, run, sign_off),
        )


def _compare_statement(sign_off: SignOff, run: Run) -> tuple[Refusal, ...]:
    """Return where the statement and the signed verdicts differ."""
    verdicts = run.verdicts
    refusals = [
        Refusal(kind="verdict", where=cell_id, what="signed off, but it does not pass")
        for cell_id in sign_off.cells
        if cell_id not in verdicts or verdicts[cell_id].result != "pass"
    ]
    if sign_off.verdicts != {cell_id: verdict.result for cell_id, verdict in verdicts.items()}:
        what = "the statement lists other verdicts than the bundle holds"
        refusals.append(Refusal(kind="statement", where=ENVELOPE, what=what))
    used = tuple(
        w for c, verdict in verdicts.items() if c in sign_off.cells for w in verdict.waivers
    )
    model = (run.plan.run_id, run.plan.model.digest)
    if used != sign_off.waivers or model != (sign_off.run_id, sign_off.model_digest):
        what = "the statement names other waivers, another run or another model than the bundle"
        refusals.append(Refusal(kind="statement", where=ENVELOPE, what=what))
    return tuple(refusals)


def _compare_hashes(
    members: Mapping[str, bytes], run: Run, sign_off: SignOff
) -> tuple[Refusal, ...]:
    """Return where the lists of hashes do not follow from the run's records."""
    images = {
        name_image(cell_id, image.path): image.sha256
        for cell_id, outcome in run.outcomes.items()
        if isinstance(outcome, Completed)
        for image in outcome.images
    }
    refusals = []
    if write_json(images) != members.get(IMAGE_HASHES):
        what = "not the images of the run's outcomes"
        refusals.append(Refusal(kind="records", where=IMAGE_HASHES, what=what))
    weights = read_weights(members[WEIGHT_HASHES])
    for cell_id in sign_off.cells:
        name = f"{DEPLOYMENTS}/{cell_id}.json"
        if members.get(name) != describe_deployment(run.plan, cell_id, weights):
            what = "not the settings and files of the planned cell"
            refusals.append(Refusal(kind="records", where=name, what=what))
    return tuple(refusals)


def _check_policy(members: Mapping[str, bytes], wanted: Policy | None) -> tuple[Refusal, ...]:
    """Compare the rules that judged with those that the caller demands."""
    if wanted is None:
        return ()
    judged = Policy.model_validate_json(members[POLICY])
    keys = [key for key in PolicyFile.model_fields if key != "about"]
    differ = [key for key in keys if getattr(judged, key) != getattr(wanted, key)]
    if not differ:
        return ()
    what = f"judged by {judged.name}, which differs from {wanted.name} in {', '.join(differ)}"
    return (Refusal(kind="policy", where=judged.name, what=what),)


def _check_expiry(sign_off: SignOff, today: date) -> tuple[Refusal, ...]:
    refusals = [
        Refusal(kind="waiver-expired", where=waiver.cell, what=f"expired: {waiver}")
        for waiver in sign_off.waivers
        if waiver.until < today
    ]
    if sign_off.expires_on < today and not refusals:
        what = f"the sign-off expired on {sign_off.expires_on}: sign a new run"
        refusals.append(Refusal(kind="expired", where=sign_off.policy.name, what=what))
    return tuple(refusals)
