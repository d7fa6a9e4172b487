"""Ed25519 keys in PEM files: made, read, and named by their fingerprint."""

import hashlib
import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from harness.core.errors import UsageError
from harness.store.write import writing_failed

PASSWORD_VARIABLE = "HARNESS_KEY_PASSWORD"
"""Holds the password of an encrypted key file."""
_MAKE = "Make one: harness sign --new-key FILE"


def write_new_key(path: Path) -> Path:
    """Write a new private key, readable by its owner only, and FILE.pub; return the latter.

    UsageError if one of them exists.
    """
    public_path = Path(f"{path}.pub")
    for existing in (path, public_path):
        if existing.exists():
            raise UsageError("this file exists already", str(existing), "Name another.")
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(private)
        public_path.write_bytes(write_public_key(key.public_key()))
    except OSError as error:
        raise writing_failed(path, error) from error
    return public_path


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """Return the key of a PEM file; UsageError if it is missing, encrypted, or of another kind."""
    data, password = _read(path), os.environ.get(PASSWORD_VARIABLE)
    if b"PUBLIC KEY" in data:
        fix = f"Name the private key: {str(path).removesuffix('.pub')}"
        raise UsageError("this is a public key, which cannot sign", str(path), fix)
    try:
        try:
            key = serialization.load_pem_private_key(data, None)
        except TypeError:  # it is encrypted
            key = serialization.load_pem_private_key(data, (password or "").encode() or None)
    except TypeError as error:
        fix = f"Put its password into the variable {PASSWORD_VARIABLE}."
        raise UsageError("this key is encrypted", str(path), fix) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        what = "not a PEM file with a private key, or the wrong password"
        raise UsageError(what, str(path), _MAKE) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError("not an ed25519 key", str(path), _MAKE)
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Return the public key of a PEM file; UsageError if it is missing or holds something else."""
    data = _read(path)
    if b"PRIVATE KEY" in data:
        fix = f"Name the public key: {path}.pub"
        raise UsageError("this is a private key; keep it where it signs", str(path), fix)
    if (key := parse_public_key(data)) is None:
        fix = "Name the .pub file that harness sign --new-key wrote."
        raise UsageError("not a PEM file with an ed25519 public key", str(path), fix)
    return key


def parse_public_key(data: bytes) -> Ed25519PublicKey | None:
    """Return the public key of PEM text, or None if it holds none."""
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PublicKey) else None


def write_public_key(key: Ed25519PublicKey) -> bytes:
    """Return a public key as PEM text."""
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return the sha256 of a public key's DER form (SubjectPublicKeyInfo), which names it."""
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError("there is no such key file", str(path), _MAKE) from error
    except OSError as error:
        what = f"cannot read the key: {error.strerror}"
        raise UsageError(what, str(path), "Check the path and its permissions.") from error
