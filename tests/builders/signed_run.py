"""A judged run of the fake model to sign, and archives changed behind the signature's back."""

import io
import zipfile
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

from harness import api
from harness.signing.archive import pack, unpack
from tests.builders.fake_run import copy_finished_run

TODAY = date(2026, 11, 29)
FAILS, PASSES, BASELINE = "4-steps_fp32", "20-steps_fp32", "50-steps_fp32"
RULES = """
[[gate]]
quantity = "cold-start-s"
at_most = 1000
[[gate]]
quantity = "cold-start-s"
at_most = 1e-9
where = { steps = "4" }
"""
"""One cell passes and one fails, on any machine."""
TRACED = """
[[gate]]
quantity = "traced-steps"
at_least = 1
"""
"""Missing in a run that was not profiled."""


def evaluated_run(folder: Path) -> Path:
    """Return a measured and evaluated run of the fake model."""
    run = copy_finished_run(folder)
    api.evaluate(run)
    return run


def write_policy(folder: Path, text: str = RULES) -> str:
    """Write a policy file and return its name for --policy."""
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def waive(rule: str, cell: str = PASSES, until: date = TODAY + timedelta(10)) -> str:
    """Return a waiver as TOML."""
    return f'[[waive]]\ncell = "{cell}"\nrule = "{rule}"\nwhy = "a test"\nwho = "Ada"\nuntil = {until}\n'


def flip(data: bytes, place: int) -> bytes:
    """Return data with the lowest bit of one byte flipped."""
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def find_content(bundle: bytes, name: str) -> int:
    """Return the offset of the middle byte of a member's content."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        entry = archive.getinfo(name)
    header = 30 + len(entry.filename.encode())
    return entry.header_offset + header + entry.file_size // 2


def repack(bundle: bytes, changed: Mapping[str, bytes | None]) -> bytes:
    """Return a bundle with members replaced, added, or (None) dropped, with correct checksums."""
    members = {**unpack(bundle), **{name: data for name, data in changed.items() if data is not None}}
    return pack({name: data for name, data in members.items() if changed.get(name, b"") is not None})
