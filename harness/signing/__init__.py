"""Sign-off bundles: signed verdicts of a run with all they rest on, and their verification."""

from harness.signing.bundle import Material, choose_cells, describe_sign_off, make_bundle
from harness.signing.contents import collect_members, hash_images, hash_weights, stage_run
from harness.signing.envelope import KeySigner, Signer
from harness.signing.keyless import KeylessSigner, SignerIdentity, require_sigstore
from harness.signing.keys import read_private_key, read_public_key, write_new_key
from harness.signing.refusal import Refusal
from harness.signing.verification import Demands, Verification, verify_bundle

__all__ = [
    "Demands",
    "KeySigner",
    "KeylessSigner",
    "Material",
    "Refusal",
    "Signer",
    "SignerIdentity",
    "Verification",
    "choose_cells",
    "collect_members",
    "describe_sign_off",
    "hash_images",
    "hash_weights",
    "make_bundle",
    "read_private_key",
    "read_public_key",
    "require_sigstore",
    "stage_run",
    "verify_bundle",
    "write_new_key",
]
