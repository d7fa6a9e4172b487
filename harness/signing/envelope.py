"""DSSE envelopes: a payload with the signature over its type and bytes.

Format and pre-authentication encoding: DSSE protocol 1.0.2 (secure-systems-lab/dsse).
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from harness.signing.keys import fingerprint, write_public_key
from harness.signing.refusal import refuse

ENVELOPE, SIGNER = "sign-off.dsse.json", "signer.pem"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


class Signer(Protocol):
    """Who signs a bundle: the member that the signature goes into, and how it is made."""

    @property
    def envelope(self) -> str:
        """Return the name of the signature's member."""

    @property
    def own_members(self) -> Mapping[str, bytes]:
        """Return further members, which are signed too."""

    def seal(self, statement: bytes) -> bytes:
        """Return the signed statement."""


class KeySigner(NamedTuple):
    """Signs with an ed25519 key; equal statements give equal bytes."""

    key: Ed25519PrivateKey
    envelope: str = ENVELOPE

    @property
    def own_members(self) -> Mapping[str, bytes]:
        return {SIGNER: write_public_key(self.key.public_key())}

    def seal(self, statement: bytes) -> bytes:
        return seal(statement, self.key)


def encode_pae(payload: bytes, kind: str = PAYLOAD_TYPE) -> bytes:
    """Return what is signed: `DSSEv1 LEN(type) type LEN(payload) payload`."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def write_json(document: Any) -> bytes:
    """Return JSON whose bytes depend on its content only."""
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def seal(payload: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return an envelope with a payload signed by a key; equal input gives equal bytes."""
    signature = key.sign(encode_pae(payload))
    return _write(payload, signature, fingerprint(key.public_key()))


def unseal(data: bytes, key: Ed25519PublicKey) -> bytes:
    """Return the payload of an envelope that this key signed.

    Raises RefusedError if it is not an envelope as `seal` writes it, byte by byte, if another key
    signed it, or if the signature is wrong.
    """
    payload, signature, keyid = _read(data)
    try:
        key.verify(signature, encode_pae(payload))
    except InvalidSignature as error:
        if keyid != fingerprint(key):
            what = f"signed by the key {keyid[:16]}…, not by {fingerprint(key)[:16]}…"
            raise refuse("key", ENVELOPE, what) from error
        what = "the signature does not fit: statement or signature were changed"
        raise refuse("signature", ENVELOPE, what) from error
    if keyid != fingerprint(key):  # DSSE does not sign it
        raise refuse("key", ENVELOPE, "the name of the key was changed")
    return payload


def _write(payload: bytes, signature: bytes, keyid: str) -> bytes:
    signed = {"keyid": keyid, "sig": base64.b64encode(signature).decode()}
    text = base64.b64encode(payload).decode()
    return write_json({"payload": text, "payloadType": PAYLOAD_TYPE, "signatures": [signed]})


def _read(data: bytes) -> tuple[bytes, bytes, str]:
    """Return payload, signature and key id of an envelope."""
    try:
        document = json.loads(data)
        (signed,) = document["signatures"]
        keyid = str(signed["keyid"])
        payload = base64.b64decode(document["payload"], validate=True)
        signature = base64.b64decode(signed["sig"], validate=True)
        written = _write(payload, signature, keyid)
    except (ValueError, LookupError, TypeError, binascii.Error) as error:
        raise refuse("envelope", ENVELOPE, f"not an envelope: {error}") from error
    if written != data:
        raise refuse("envelope", ENVELOPE, "not an envelope as harness writes it")
    return payload, signature, keyid
