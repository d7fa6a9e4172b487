"""The committed sample's report in Markdown is the snapshot of the report's words: digits aside, it must not change."""

import re
from pathlib import Path

import pytest

from harness.reporting.page import build_page, render_text
from harness.results import Run

ROOT = Path(__file__).parents[2]
REPORTS = sorted((ROOT / "reports" / "sample").glob("*/report.md"))


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: str(report.parent.name))
def test_markdown_of_the_sample_has_the_committed_words(report: Path) -> None:
    run = Run.load(ROOT / "results" / "sample" / report.parent.name)
    shown = render_text("report.md.j2", build_page(run, report_s=1.0))
    words = [re.sub(r"[−\d.,]+", "#", text) for text in (shown, report.read_text(encoding="utf-8"))]
    assert words[0].splitlines() == words[1].splitlines(), "write it anew: python -m tests.sample"
