"""Published claims next to the figures of the runs."""

from collections.abc import Sequence
from pathlib import Path

from harness.claims import (
    Claim,
    Finding,
    compare_run,
    load_ledger,
    shipped_claims,
    write_claimed,
    write_measured,
)
from harness.core.parsing import expand_user
from harness.core.units import Absent
from harness.reporting.compared_runs import PublishedFigure, name_runs
from harness.results import Run


def list_published(
    runs: Sequence[Run], ledger: Path | None = None
) -> tuple[tuple[PublishedFigure, ...], int]:
    """Return the claims with a measured figure in one of the runs, and the number of the others.

    A claim of the given ledger is listed in any case: somebody asked for it.
    """
    shipped = shipped_claims()
    asked = load_ledger(expand_user(ledger), shipped) if ledger else ()
    findings = {
        letter: compare_run(run, (*asked, *shipped))
        for letter, run in zip(name_runs(len(runs)), runs, strict=True)
    }
    rows: list[PublishedFigure] = []
    unmatched = 0
    for index, claim in enumerate((*asked, *shipped)):
        known = [
            _show(letter, found[index])
            for letter, found in findings.items()
            if not isinstance(found[index].here, Absent)
        ]
        if not known and claim in asked:
            known = [_show_alone(claim, next(iter(findings.values()))[index])]
        unmatched += not known
        rows += known
    return tuple(rows), unmatched


def _show(letter: str, finding: Finding) -> PublishedFigure:
    here = finding.here
    assert not isinstance(here, Absent)
    against = f" against {finding.baseline}" if finding.baseline else ""
    return _show_alone(finding.claim, finding).model_copy(
        update={
            "run": letter,
            "here": write_measured(finding.claim, here),
            "cells": finding.candidate + against,
        }
    )


def _show_alone(claim: Claim, finding: Finding) -> PublishedFigure:
    return PublishedFigure(
        claim=claim.id,
        what=claim.what,
        claimed=write_claimed(claim),
        verdict=finding.verdict,
        reasons=finding.reasons,
        source=claim.source.title,
        url=claim.source.url,
        date=claim.source.date,
    )
