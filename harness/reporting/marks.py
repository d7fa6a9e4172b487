"""One shape and one colour for each standing, so that nothing is told by colour alone."""

from harness.reporting.facts import Standing

PATHS: dict[Standing, str] = {
    "baseline": "M0,-1.15L1.15,0L0,1.15L-1.15,0Z",
    "pass": "M1,0A1,1,0,1,1,-1,0A1,1,0,1,1,1,0Z",
    "fail": "M-1,-0.55L-0.55,-1L0,-0.45L0.55,-1L1,-0.55L0.45,0L1,0.55L0.55,1L0,0.45L-0.55,1L-1,0.55L-0.45,0Z",
    "inconclusive": "M0,-1.05L1.1,0.85L-1.1,0.85Z",
    "missing": "M-0.85,-0.85L0.85,-0.85L0.85,0.85L-0.85,0.85Z",
    "unjudged": "M-0.85,-0.85L0.85,-0.85L0.85,0.85L-0.85,0.85Z",
    "skipped": "M-1,-0.3L1,-0.3L1,0.3L-1,0.3Z",
    "failed": "M-1,-0.3L1,-0.3L1,0.3L-1,0.3Z",
    "pending": "M-1,-0.3L1,-0.3L1,0.3L-1,0.3Z",
}
"""SVG paths within −1 … 1, drawn alike in charts, tables and the legend."""

PRINT_COLOURS: dict[Standing, str] = {
    "baseline": "#1d2433",
    "pass": "#0b7a5b",
    "fail": "#c2341d",
    "inconclusive": "#a86b00",
    "missing": "#6b7280",
    "unjudged": "#4a5a78",
    "skipped": "#8a909c",
    "failed": "#8a909c",
    "pending": "#8a909c",
}
"""Colours of printed figures; the page takes the same names from its style sheet (`--pass` …)."""


def page_colour(standing: Standing) -> str:
    """Return the page's colour of a standing: a CSS variable, so that dark mode needs no redraw."""
    return f"var(--{standing})"
