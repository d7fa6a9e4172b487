"""Keyless signatures: clear errors without the package, and a bundle by a stand-in of Sigstore's client."""

import base64
import sys
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from harness import sign_off
from harness.core.errors import MachineError
from harness.sign_off import SignerIdentity, Wanted
from harness.signing.envelope import PAYLOAD_TYPE
from harness.signing.keyless import SIGSTORE_BUNDLE
from tests.builders.signed_run import PASSES, TODAY, evaluated_run, flip, repack, write_policy

ADA, BOB = SignerIdentity("ada@example.org", "https://issuer.example"), SignerIdentity("bob@example.org", "")


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MachineError, match=r"diffusion-harness\[sigstore\]"):
        sign_off.sign(Path("r"), None)


class Error(Exception):
    """The root of Sigstore's errors."""


class StandInBundle:
    """A payload and who signed it, as text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.who, self.payload = text.split(" ")

    def to_json(self) -> str:
        return self.text

    @classmethod
    def from_json(cls, data: bytes) -> "StandInBundle":
        return cls(data.decode())


def verify_dsse(bundle: StandInBundle, wanted: Any) -> tuple[str, bytes]:
    if bundle.who != wanted.identity:
        raise Error("another identity")
    return PAYLOAD_TYPE, base64.b64decode(bundle.payload, validate=True)


@contextmanager
def open_signer(token: str) -> Any:
    yield SimpleNamespace(sign_dsse=lambda text: StandInBundle(f"{token} {base64.b64encode(text).decode()}"))


@pytest.fixture
def sigstore(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins with the calls of sigstore 4.5's client, none of which can be made without its services."""
    config = SimpleNamespace(production=SimpleNamespace)
    context = SimpleNamespace(from_trust_config=lambda trust: SimpleNamespace(signer=open_signer))
    none = type("None_", (Exception,), {})
    modules: dict[str, dict[str, Any]] = {
        "sigstore": {},
        "sigstore.dsse": {"Statement": bytes},
        "sigstore.errors": {"Error": Error, "NetworkError": none, "TUFError": none},
        "sigstore.models": {"ClientTrustConfig": config, "Bundle": StandInBundle, "InvalidBundle": none},
        "sigstore.oidc": {
            "detect_credential": lambda: ADA.name, "IdentityToken": str, "IssuerError": none, "ExpiredIdentity": none,
        },
        "sigstore.sign": {"SigningContext": context},
        "sigstore.verify": {"Verifier": SimpleNamespace(production=lambda: SimpleNamespace(verify_dsse=verify_dsse))},
        "sigstore.verify.policy": {"Identity": SimpleNamespace},
    }  # fmt: skip
    for name, members in modules.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
    monkeypatch.setattr("harness.signing.keyless.require_sigstore", lambda: None)
    monkeypatch.setattr("harness.signing.require_sigstore", lambda: None)


def test_identity_signs_and_is_demanded(sigstore: None, tmp_path: Path) -> None:
    bundle = tmp_path / "b.zip"
    wanted = Wanted(write_policy(tmp_path), (PASSES,), bundle, TODAY)
    sign_off.sign(evaluated_run(tmp_path), None, wanted)
    found = sign_off.verify(bundle, key=ADA, today=TODAY)
    assert (found.refusals, found.signer, found.known_signer) == ((), ADA.name, True)
    for key in (BOB, sign_off.new_key(tmp_path / "k"), None):
        other = sign_off.verify(bundle, key=key, today=TODAY)
        assert [refusal.where for refusal in other.refusals] == [SIGSTORE_BUNDLE]
    data = bundle.read_bytes()
    changed = tmp_path / "changed.zip"
    changed.write_bytes(repack(data, {SIGSTORE_BUNDLE: flip(data, 0)}))
    assert sign_off.verify(changed, key=ADA, today=TODAY).refusals
