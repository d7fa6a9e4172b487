"""Read claims: those that ship, one file per source, and files of one's own; every mistake is reported at once."""

import re
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from harness.axes import get_axis, read_entry, value_names
from harness.claims.claim import Claim, LedgerFile, Statement
from harness.core.axis import Scalar
from harness.core.catalog import did_you_mean
from harness.core.cell import value_word
from harness.core.errors import LedgerError, UsageError
from harness.core.parsing import read_record, read_toml
from harness.metrics import check_metric

_SHIPPED = files("harness.claims") / "ledger"


def shipped_claims() -> tuple[Claim, ...]:
    """Return the claims that ship with the package, by file name, then in the file's order."""
    pages = sorted(
        (entry.name, entry.read_text(encoding="utf-8")) for entry in _SHIPPED.iterdir() if _is_toml(entry.name)
    )
    return tuple(claim for name, text in pages for claim in parse_ledger(text, name))


def load_ledger(path: Path, known: Iterable[Claim] = ()) -> tuple[Claim, ...]:
    """Return the claims of a file; UsageError if it cannot be read, LedgerError with all mistakes it holds.

    An id that one of the `known` claims has already is a mistake.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        fix = "Name a file of claims; docs/claims.md shows one."
        raise UsageError(f"cannot read the claim ledger: {error.strerror}", str(path), fix) from error
    except UnicodeDecodeError as error:
        raise LedgerError([f"not UTF-8 text: {error.reason} at byte {error.start}"], str(path)) from error
    return parse_ledger(text, str(path), known)


def parse_ledger(text: str, where: str = "ledger", known: Iterable[Claim] = ()) -> tuple[Claim, ...]:
    """Return the claims that TOML text holds; LedgerError with all mistakes, named by `where` and key."""
    document, problems = read_toml(text)
    if problems:
        raise LedgerError(problems, where)
    found, problems = read_record(LedgerFile, document)
    if found is not None:
        problems += _vocabulary(found.claim, {claim.id for claim in known})
    if found is None or problems:
        raise LedgerError(problems, where)
    return tuple(Claim(**stated.model_dump(), source=found.source) for stated in found.claim)


def _is_toml(name: str) -> bool:
    return name.endswith(".toml")


def _vocabulary(statements: tuple[Statement, ...], taken: set[str]) -> list[str]:
    """Return the mistakes that types cannot see: ids that stand twice, unknown axes, values and metrics."""
    problems = [] if statements else ["claim: empty; a ledger needs at least one [[claim]]"]
    for number, stated in enumerate(statements):
        key = f"claim.{number}"
        if stated.id in taken:
            problems.append(f'{key}.id: there is a claim "{stated.id}" already')
        taken.add(stated.id)
        for place in ("settings", "candidate", "baseline"):
            for axis, value in getattr(stated, place).items():
                problems += _setting_problems(f"{key}.{place}.{axis}", axis, value)
        if stated.metric:
            try:
                check_metric(stated.metric)
            except UsageError as error:
                problems.append(f"{key}.metric: {error.what}")
    return problems


def _setting_problems(key: str, axis: str, value: Scalar) -> list[str]:
    word = value_word(value)
    try:
        if not any(sign in word for sign in "*?["):
            spelled = str(read_entry(axis, value))
            return [] if spelled == word else [f'{key}: cells spell this "{spelled}", not "{word}"']
        free, names = get_axis(axis).open_value, value_names(axis)
    except UsageError as error:
        return [f"{key}: {error.what}"]
    if free or any(name.startswith(re.split(r"[*?[+]", word)[0]) for name in names):
        return []
    return [f'{key}: no {axis} is like "{word}". {did_you_mean(word, names)}']
