"""The in-toto statement of a bundle: what may ship (its subjects) and why (the predicate).

Statement v1 of the in-toto attestation framework. Subjects are weight files, adapters and settings
by their digests, so that other tools can look up what they deploy.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from harness.core.sign_off import SignOff
from harness.signing.envelope import ENVELOPE, write_json
from harness.signing.refusal import refuse

FORMAT = 1
"""The version of bundles that this version writes and reads."""
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://github.com/diffusion-harness/diffusion-harness/sign-off/v"


def write_statement(sign_off: SignOff, subjects: Mapping[str, str], version: int = FORMAT) -> bytes:
    """Return the statement on subjects, name → sha256, as JSON."""
    named = [{"name": name, "digest": {"sha256": subjects[name]}} for name in sorted(subjects)]
    return write_json(
        {
            "_type": STATEMENT,
            "subject": named,
            "predicateType": f"{PREDICATE}{version}",
            "predicate": sign_off.model_dump(mode="json"),
        }
    )


def read_statement(payload: bytes) -> tuple[SignOff, dict[str, str]]:
    """Return predicate and subjects of a signed statement.

    Raises RefusedError if it is of another version, or not a statement on a sign-off.
    """
    try:
        document: dict[str, Any] = json.loads(payload)
        kind, predicate = str(document["predicateType"]), document["predicate"]
        _check_version(kind)
        subjects = {str(one["name"]): str(one["digest"]["sha256"]) for one in document["subject"]}
        sign_off = SignOff.model_validate_json(json.dumps(predicate))
    except (ValueError, ValidationError, LookupError, TypeError, AttributeError) as error:
        first = str(error).splitlines()[0]
        raise refuse("statement", ENVELOPE, f"not a statement on a sign-off: {first}") from error
    if write_statement(sign_off, subjects) != payload:
        raise refuse("statement", ENVELOPE, "it says more than this version understands")
    return sign_off, subjects


def _check_version(kind: str) -> None:
    if not kind.startswith(PREDICATE) or not kind.removeprefix(PREDICATE).isdigit():
        raise refuse("format", ENVELOPE, f"the statement is of another kind: {kind}")
    version = int(kind.removeprefix(PREDICATE))
    if version > FORMAT:
        what = f"bundle format {version} is newer than this version reads ({FORMAT})"
        raise refuse("format", ENVELOPE, f"{what}. Upgrade: pip install -U diffusion-harness")
    if version < FORMAT:
        what = f"bundle format {version} is older than this version reads ({FORMAT})"
        raise refuse("format", ENVELOPE, f"{what}. Sign the run again")
