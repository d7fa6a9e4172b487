"""Which verdicts may be signed, and the bundle of a run that may."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from harness import __version__
from harness.core.errors import NotSignedOff, UndecidedCells
from harness.core.policy import Waiver
from harness.core.sign_off import SignedPolicy, SignOff
from harness.core.verdict import CellVerdict, Judgement
from harness.results import Run
from harness.signing import text
from harness.signing.archive import pack
from harness.signing.contents import (
    DEPLOYMENTS,
    POLICY,
    ImageHashes,
    WeightHashes,
    describe_deployment,
)
from harness.signing.envelope import Signer
from harness.signing.statement import write_statement


class Material(NamedTuple):
    """What a bundle is made of: its members, and the hashes that they hold."""

    members: Mapping[str, bytes]
    images: ImageHashes
    weights: WeightHashes


def choose_cells(judgement: Judgement, asked: Sequence[str]) -> tuple[str, ...]:
    """Return the cells to sign off: those of `asked` that pass.

    Raises UndecidedCells, naming each rule without a waiver, if a verdict is missing or
    inconclusive, and NotSignedOff if no cell passes.
    """
    verdicts = [verdict for verdict in judgement.cells if verdict.cell_id in asked]
    if undecided := [v for v in verdicts if v.result in ("missing", "inconclusive")]:
        raise UndecidedCells(
            text.list_undecided(undecided), judgement.run_id, text.propose_waiver(undecided[0])
        )
    passing = tuple(verdict.cell_id for verdict in verdicts if verdict.result == "pass")
    if not passing:
        failed = ", ".join(verdict.cell_id for verdict in verdicts) or "none was judged"
        what = f"no cell passes the policy {judgement.policy.name}: {failed}"
        raise NotSignedOff(what, judgement.run_id, f"See: harness gate {judgement.run_id}")
    return passing


def describe_sign_off(run: Run, cells: Sequence[str], today: date) -> SignOff:
    """Return the predicate of a run's statement, before its members are known."""
    judgement = run.judgement
    assert judgement is not None
    policy, waivers = judgement.policy, _list_waivers(judgement.cells, cells)
    ends = (today + timedelta(policy.valid_days), *(waiver.until for waiver in waivers))
    return SignOff(
        run_id=run.plan.run_id,
        harness=__version__,
        signed_on=today,
        expires_on=min(ends),
        policy=SignedPolicy(name=policy.name, sha256="0" * 64, file_sha256=policy.sha256),
        model=run.plan.model.title,
        model_digest=run.plan.model.digest,
        cells=tuple(cells),
        verdicts={verdict.cell_id: verdict.result for verdict in judgement.cells},
        waivers=waivers,
        images=0,
        images_checked=0,
        members={},
    )


def _list_waivers(verdicts: Sequence[CellVerdict], cells: Sequence[str]) -> tuple[Waiver, ...]:
    return tuple(w for verdict in verdicts if verdict.cell_id in cells for w in verdict.waivers)


def make_bundle(
    run: Run, draft: SignOff, material: Material, signer: Signer
) -> tuple[bytes, SignOff]:
    """Return the bytes of a bundle and its predicate: the same for the same run, day and key."""
    members = {**material.members, **signer.own_members}
    for cell_id in draft.cells:
        name = f"{DEPLOYMENTS}/{cell_id}.json"
        members[name] = describe_deployment(run.plan, cell_id, material.weights)
    digests = {name: _sha256(data) for name, data in members.items()}
    sign_off = draft.model_copy(
        update={
            "policy": draft.policy.model_copy(update={"sha256": digests[POLICY]}),
            "images": len(material.images.digests),
            "images_checked": material.images.checked,
            "members": dict(sorted(digests.items())),
        }
    )
    statement = write_statement(sign_off, list_subjects(sign_off, material.weights.model))
    members[signer.envelope] = signer.seal(statement)
    return pack(members), sign_off


def list_subjects(sign_off: SignOff, weights: Mapping[str, str]) -> dict[str, str]:
    """Return name → sha256 of what may ship: the signed cells' deployments, the model's files."""
    prefix = f"{DEPLOYMENTS}/"
    deployments = {n: digest for n, digest in sign_off.members.items() if n.startswith(prefix)}
    return {**{f"model/{name}": digest for name, digest in weights.items()}, **deployments}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
