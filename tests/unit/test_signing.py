"""Sign-off bundles: what may be signed, and that any change of a bundle is refused by its name."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness import sign_off
from harness.cli.commands import app
from harness.core.errors import NotSignedOff, ResultsError, UndecidedCells, UsageError
from harness.sign_off import Signed, Wanted
from harness.signing.archive import unpack
from harness.signing.bundle import list_subjects
from harness.signing.contents import read_weights
from harness.signing.envelope import ENVELOPE, encode_pae, seal, unseal
from harness.signing.keys import read_private_key, read_public_key
from harness.signing.statement import FORMAT, read_statement, write_statement
from harness.signing.verification import Verification
from harness.store import read_judgement, read_outcomes, read_signed
from harness.store.layout import RunFolder
from tests.builders.signed_run import (
    FAILS,
    PASSES,
    RULES,
    TODAY,
    TRACED,
    evaluated_run,
    find_content,
    flip,
    repack,
    waive,
    write_policy,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an evaluated run and the key `k`."""
    folder = tmp_path_factory.mktemp("signed")
    evaluated_run(folder)
    sign_off.new_key(folder / "k")
    return folder


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    return next((place / "results").iterdir())


@pytest.fixture(scope="module")
def signed(place: Path, run: Path) -> Signed:
    return sign(run, place, place / "bundle.zip")


@pytest.fixture(scope="module")
def bundle(signed: Signed) -> bytes:
    return signed.path.read_bytes()


def sign(run: Path, place: Path, out: Path, rules: str = RULES, select: tuple[str, ...] = ()) -> Signed:
    policy = write_policy(out.parent, rules)
    return sign_off.sign(run, place / "k", Wanted(policy, select, out, TODAY))


def check(place: Path, data: bytes, days: int = 0) -> Verification:
    path = place / "changed.zip"
    path.write_bytes(data)
    return sign_off.verify(path, key=place / "k.pub", today=TODAY + timedelta(days))


def kinds(found: Verification) -> set[tuple[str, str]]:
    return {(refusal.kind, refusal.where) for refusal in found.refusals}


def resigned(place: Path, bundle: bytes, **changes: object) -> bytes:
    """A bundle whose statement was changed and signed again by the right key."""
    stated, subjects = read_statement(unseal(unpack(bundle)[ENVELOPE], read_public_key(place / "k.pub")))
    payload = write_statement(stated.model_copy(update=changes), subjects)
    return repack(bundle, {ENVELOPE: seal(payload, read_private_key(place / "k"))})


def with_members(place: Path, bundle: bytes, changed: dict[str, bytes]) -> bytes:
    """A bundle whose members were changed by somebody who has the key: its hashes are right."""
    import hashlib

    stated, _ = read_statement(unseal(unpack(bundle)[ENVELOPE], read_public_key(place / "k.pub")))
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in changed.items()}
    stated = stated.model_copy(update={"members": {**stated.members, **hashes}})
    weights = read_weights(changed.get("weights.json", unpack(bundle)["weights.json"]))
    payload = write_statement(stated, list_subjects(stated, weights.model))
    return repack(bundle, {**changed, ENVELOPE: seal(payload, read_private_key(place / "k"))})


def test_bundle_verifies(place: Path, signed: Signed) -> None:
    found = sign_off.verify(signed.path, key=place / "k.pub", policy=write_policy(place), today=TODAY)
    assert found.refusals == ()
    assert found.known_signer
    assert found.sign_off == signed.sign_off
    assert found.sign_off.cells == (PASSES,)
    assert found.sign_off.verdicts == {PASSES: "pass", FAILS: "fail"}
    assert found.sign_off.expires_on == TODAY + timedelta(90)


def test_bundle_holds_everything(bundle: bytes, run: Path) -> None:
    members = unpack(bundle)
    assert {
        ENVELOPE, "signer.pem", "policy.json", "environment.json", "packages.txt", "images.json", "weights.json",
        f"deployments/{PASSES}.json", "run/run.json", "run/matrix.toml", "run/deltas.json", "run/verdicts.json",
        "run/scores/psnr.jsonl", f"run/cells/{PASSES}/outcome.json", "report/index.html",
    } <= members.keys()  # fmt: skip
    images = json.loads(members["images.json"])
    made = [image for outcome in read_outcomes(run).values() for image in outcome.images]  # type: ignore[union-attr]
    assert sorted(images.values()) == sorted(image.sha256 for image in made)
    assert b"numpy==" in members["packages.txt"]
    assert len(members["packages.txt"].splitlines()) > 50


def test_same_run_day_and_key_give_same_bytes(place: Path, run: Path, bundle: bytes, tmp_path: Path) -> None:
    assert sign(run, place, tmp_path / "again.zip").path.read_bytes() == bundle


def test_run_keeps_its_verdicts_and_a_record(run: Path, signed: Signed) -> None:
    judgement = read_judgement(run)
    assert judgement is None or judgement.policy.name != "mine"
    record = read_signed(run)[0]
    assert (record.sha256, record.cells, record.expires_on) == (
        signed.sha256, signed.sign_off.cells, signed.sign_off.expires_on,
    )  # fmt: skip


def test_flipped_byte_of_every_member_is_refused(place: Path, bundle: bytes) -> None:
    for name, data in unpack(bundle).items():
        damaged = check(place, flip(bundle, find_content(bundle, name)))
        assert kinds(damaged) == {("changed", name)}
        forged = check(place, repack(bundle, {name: flip(data, len(data) // 2)}))
        assert forged.refusals, name
        if name != ENVELOPE:
            assert kinds(forged) == {("changed", name)}


def test_any_flipped_byte_is_refused(place: Path, bundle: bytes) -> None:
    step = max(1, len(bundle) // 97)
    for offset in (*range(0, len(bundle), step), *range(len(bundle) - 40, len(bundle))):
        assert check(place, flip(bundle, offset)).refusals, offset


def test_flipped_byte_of_the_envelope_is_refused(place: Path, bundle: bytes) -> None:
    envelope = unpack(bundle)[ENVELOPE]
    step = max(1, len(envelope) // 61)
    for offset in (*range(0, len(envelope), step), *range(len(envelope) - 250, len(envelope), 3)):
        found = check(place, repack(bundle, {ENVELOPE: flip(envelope, offset)}))
        assert {kind for kind, _ in kinds(found)} <= {"envelope", "signature", "key"}, offset
        assert found.refusals, offset
        assert not found.is_sound


def test_dropped_and_added_members_are_named(place: Path, bundle: bytes) -> None:
    for name in unpack(bundle):
        assert kinds(check(place, repack(bundle, {name: None}))) == {("dropped", name)}
    assert kinds(check(place, repack(bundle, {"run/extra.json": b"{}"}))) == {("added", "run/extra.json")}


def test_bytes_around_the_members_are_refused(place: Path, bundle: bytes) -> None:
    assert kinds(check(place, b"#" + bundle)) == {("archive", "bundle")}
    assert kinds(check(place, bundle + b"#")) == {("archive", "bundle")}
    assert kinds(check(place, b"no zip")) == {("archive", "bundle")}


def test_wrong_key_is_named(place: Path, signed: Signed, tmp_path: Path) -> None:
    other = sign_off.new_key(tmp_path / "other")
    found = sign_off.verify(signed.path, key=other, today=TODAY)
    assert kinds(found) == {("key", ENVELOPE)}
    unnamed = sign_off.verify(signed.path, today=TODAY)
    assert (unnamed.refusals, unnamed.known_signer) == ((), False)


def test_swapped_verdict_is_refused(place: Path, bundle: bytes) -> None:
    """Even with the right key: the scores are judged again."""
    verdicts = json.loads(unpack(bundle)["run/verdicts.json"])
    first, second = verdicts["cells"]
    first["cell_id"], second["cell_id"] = second["cell_id"], first["cell_id"]
    swapped = {"run/verdicts.json": json.dumps(verdicts).encode()}
    assert kinds(check(place, repack(bundle, swapped))) == {("changed", "run/verdicts.json")}
    found = check(place, with_members(place, bundle, swapped))
    assert {("verdict", PASSES), ("verdict", FAILS), ("statement", ENVELOPE)} <= kinds(found)


def test_statement_must_agree_with_verdicts(place: Path, bundle: bytes) -> None:
    found = check(place, resigned(place, bundle, verdicts={PASSES: "pass", FAILS: "pass"}))
    assert kinds(found) == {("statement", ENVELOPE)}
    stated, _ = read_statement(unseal(unpack(bundle)[ENVELOPE], read_public_key(place / "k.pub")))
    found = check(place, resigned(place, bundle, cells=(*stated.cells, FAILS)))
    assert ("verdict", FAILS) in kinds(found)


def test_laxer_policy_is_refused(place: Path, bundle: bytes) -> None:
    policy = json.loads(unpack(bundle)["policy.json"])
    policy["gate"][1]["at_most"] = 1000.0
    found = check(place, with_members(place, bundle, {"policy.json": json.dumps(policy).encode()}))
    assert "policy" in {kind for kind, _ in kinds(found)}


@pytest.mark.parametrize("version", [FORMAT - 1, FORMAT + 1])
def test_other_formats_are_refused(place: Path, bundle: bytes, version: int) -> None:
    stated, subjects = read_statement(unseal(unpack(bundle)[ENVELOPE], read_public_key(place / "k.pub")))
    payload = write_statement(stated, subjects, version)
    found = check(place, repack(bundle, {ENVELOPE: seal(payload, read_private_key(place / "k"))}))
    assert kinds(found) == {("format", ENVELOPE)}


def test_other_policy_and_expiry_are_not_fit(place: Path, signed: Signed) -> None:
    other = sign_off.verify(signed.path, policy="five-percent", today=TODAY)
    assert kinds(other) == {("policy", "mine")}
    late = sign_off.verify(signed.path, today=TODAY + timedelta(91))
    assert kinds(late) == {("expired", "mine")}
    assert other.is_sound and late.is_sound


@pytest.fixture(scope="module")
def waived(place: Path, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signed]:
    folder = tmp_path_factory.mktemp("waived")
    yield sign(run, place, folder / "b.zip", RULES + TRACED + waive("traced-steps"), (PASSES,))


def test_open_verdicts_need_waivers(place: Path, run: Path, waived: Signed, tmp_path: Path) -> None:
    with pytest.raises(UndecidedCells) as caught:
        sign(run, place, tmp_path / "b.zip", RULES + TRACED, (PASSES,))
    assert caught.value.exit_code == 6
    assert PASSES in caught.value.what
    assert not (tmp_path / "b.zip").exists()
    (waiver,) = waived.sign_off.waivers
    assert (waiver.rule, waived.sign_off.expires_on) == ("traced-steps", waiver.until)


def test_expired_waiver_is_named(waived: Signed) -> None:
    assert sign_off.verify(waived.path, today=TODAY + timedelta(10)).refusals == ()
    found = sign_off.verify(waived.path, today=TODAY + timedelta(11))
    assert kinds(found) == {("waiver-expired", PASSES)}


def test_no_pass_no_signature(place: Path, run: Path, tmp_path: Path) -> None:
    with pytest.raises(NotSignedOff) as caught:
        sign(run, place, tmp_path / "b.zip", select=(FAILS,))
    assert caught.value.exit_code == 1


def test_unfinished_run_is_refused(place: Path, tmp_path: Path) -> None:
    run = evaluated_run(tmp_path)
    RunFolder(run).outcome(FAILS).unlink()
    with pytest.raises(ResultsError, match=FAILS):
        sign(run, place, tmp_path / "b.zip")


def test_changed_image_is_refused(place: Path, tmp_path: Path) -> None:
    run = evaluated_run(tmp_path)
    image = next(RunFolder(run).images(PASSES).iterdir())
    image.write_bytes(flip(image.read_bytes(), -20 % image.stat().st_size))
    with pytest.raises(ResultsError, match=image.name):
        sign(run, place, tmp_path / "b.zip")


def test_changed_model_is_refused(place: Path, tmp_path: Path) -> None:
    run = evaluated_run(tmp_path)
    plan = json.loads(RunFolder(run).run_json.read_text())
    plan["plan"]["model"]["digest"] = "0" * 64
    RunFolder(run).run_json.write_text(json.dumps(plan))
    with pytest.raises(ResultsError, match="model"):
        sign(run, place, tmp_path / "b.zip")


def test_key_files_are_checked(place: Path, run: Path, tmp_path: Path) -> None:
    assert (place / "k").stat().st_mode & 0o077 == 0
    (tmp_path / "text").write_text("no key")
    for key in (tmp_path / "gone", tmp_path / "text", place / "k.pub"):
        with pytest.raises(UsageError, match=key.name):
            sign_off.sign(run, key)
    for key in (tmp_path / "gone", tmp_path / "text", place / "k"):
        with pytest.raises(UsageError, match=key.name):
            sign_off.verify(place / "bundle.zip", key=key)
    with pytest.raises(UsageError, match="exists"):
        sign_off.new_key(place / "k")


def test_envelope_signs_type_and_payload() -> None:
    """The example of DSSE's protocol.md."""
    assert encode_pae(b"hello world", "http://example.com/HelloWorld") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def run_command(*words: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, [*words])
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, found.output


def test_command_prints_json_and_its_exit_code(place: Path, signed: Signed, bundle: bytes, tmp_path: Path) -> None:
    words = ("verify", str(signed.path), "--key", str(place / "k.pub"))
    code, output = run_command(*words, "--json")
    found = json.loads(output)
    assert (code, found["verified"], found["sign_off"]["cells"]) == (0, True, [PASSES])
    code, output = run_command(*words, "--policy", "five-percent", "--json")
    assert (code, json.loads(output)["refusals"][0]["kind"]) == (1, "policy")
    (tmp_path / "c.zip").write_bytes(flip(bundle, len(bundle) // 2))
    code, output = run_command("verify", str(tmp_path / "c.zip"), "--json")
    assert (code, json.loads(output)["verified"]) == (7, False)


def test_command_shows_waivers(waived: Signed) -> None:
    _, output = run_command("verify", str(waived.path))
    assert "1 waiver" in output
    assert waived.sign_off.waivers[0].why in output


def test_command_needs_a_run_and_one_key(place: Path) -> None:
    key = str(place / "k")
    for words in (("sign",), ("sign", "latest"), ("sign", "--key", key), ("sign", "latest", "--key", key, "--keyless")):
        with pytest.raises(UsageError):
            CliRunner().invoke(app, [*words], catch_exceptions=False)
    with pytest.raises(UsageError):
        CliRunner().invoke(app, ["verify", key, "--identity", "ada"], catch_exceptions=False)
