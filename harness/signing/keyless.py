"""Keyless signatures by Sigstore: an identity (an e-mail address, a CI job) signs instead of a key.

Needs the extra `sigstore` and the network: a certificate from Fulcio, an entry in Rekor's log.
"""

from typing import TYPE_CHECKING, NamedTuple

from harness.core.errors import MachineError
from harness.signing.envelope import PAYLOAD_TYPE
from harness.signing.refusal import refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGSTORE_BUNDLE = "sign-off.sigstore.json"


class SignerIdentity(NamedTuple):
    """Who must have signed without a key: an e-mail address or a workflow's address, and the
    OpenID issuer that vouched for it."""

    name: str
    issuer: str


class KeylessSigner(NamedTuple):
    """Signs with the identity of this environment: a CI job's, else that of a browser login."""

    envelope: str = SIGSTORE_BUNDLE

    @property
    def own_members(self) -> "Mapping[str, bytes]":
        return {}

    def seal(self, statement: bytes) -> bytes:
        """Return Sigstore's bundle for a statement; MachineError if the package or the services
        are out of reach."""
        require_sigstore()
        from sigstore import dsse, errors, models, oidc, sign

        try:
            trust = models.ClientTrustConfig.production()
            raw = oidc.detect_credential()
            token = (
                oidc.IdentityToken(raw)
                if raw
                else oidc.Issuer(trust.signing_config.get_oidc_url()).identity_token()
            )
            context = sign.SigningContext.from_trust_config(trust)
            with context.signer(token) as signer:
                return signer.sign_dsse(dsse.Statement(statement)).to_json().encode()
        except (errors.Error, oidc.IssuerError, oidc.ExpiredIdentity, OSError) as error:
            fix = "Check the network and log in again, or sign with a key: --key KEY"
            raise MachineError(f"Sigstore did not sign: {error}", "--keyless", fix) from error


def unseal_keyless(data: bytes, identity: SignerIdentity) -> bytes:
    """Return the payload of Sigstore's bundle if this identity signed it.

    Raises RefusedError if it did not, and MachineError without the package.
    """
    require_sigstore()
    from sigstore import errors, models
    from sigstore.verify import Verifier, policy

    try:
        bundle = models.Bundle.from_json(data)
        wanted = policy.Identity(identity=identity.name, issuer=identity.issuer or None)
        kind, payload = Verifier.production().verify_dsse(bundle, wanted)
    except (errors.NetworkError, errors.TUFError) as error:
        what = f"Sigstore's trusted keys could not be fetched: {error}"
        raise MachineError(what, SIGSTORE_BUNDLE, "Check the network.") from error
    except (errors.Error, models.InvalidBundle, ValueError) as error:
        raise refuse(
            "signature", SIGSTORE_BUNDLE, f"not signed by {identity.name}: {error}"
        ) from error
    if kind != PAYLOAD_TYPE or bundle.to_json().encode() != data:
        raise refuse("envelope", SIGSTORE_BUNDLE, "not a bundle as Sigstore writes it")
    return payload


def require_sigstore() -> None:
    """Raise MachineError if the package is not installed."""
    from importlib.util import find_spec

    if find_spec("sigstore") is None:
        fix = "pip install 'diffusion-harness[sigstore]', or use a key: --key KEY"
        raise MachineError("keyless signatures need the package sigstore", "--keyless", fix)
