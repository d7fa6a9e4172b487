"""Fill README.md's generated parts from the tool itself: `python -m tests.readme` writes them, a test checks them."""

import re
from pathlib import Path

from harness.api import list_axes

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
SAMPLE = ROOT / "reports" / "sample"


def axes_table() -> str:
    """Return the table of all axes and values."""
    lines = ["| axis | value | what it is |", "|---|---|---|"]
    for row in list_axes():
        value = row["value"] if row["value"] == "…" else f"`{row['value']}`"
        lines.append(f"| {row['axis']} | {value} | {row['summary']} |")
    return "\n".join(lines)


def demo_part() -> str:
    """Return the committed sample report's own summary, with its headings one level down."""
    reports = sorted(SAMPLE.glob("*/report.md"))
    if not reports:
        return ""
    place = reports[-1].parent.relative_to(ROOT)
    text = reports[-1].read_text().strip()
    text = text.split("[Full report]")[0].rstrip()  # its links are relative to the report
    text = re.sub(r"^(#+)", r"\1#", text, flags=re.MULTILINE)
    return f"This is what it wrote here ([the page]({place}/index.html)):\n\n{text}"


def grid_part() -> str:
    """Return the image grid of the bundled model."""
    grid = ROOT / "docs" / "shapes-grid.png"
    caption = "The bundled model, same prompts and noise: 50 steps, 4 steps, and 4 steps with its LCM-LoRA."
    return f"![{caption}](docs/shapes-grid.png)\n\n*{caption}*" if grid.exists() else ""


PARTS = {"axes": axes_table, "demo": demo_part, "grid": grid_part}


def filled(text: str) -> str:
    """Return the README's text with every generated part made anew."""
    for name, make in PARTS.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        head, rest = text.split(begin)
        _, tail = rest.split(end)
        body = make()
        text = f"{head}{begin}\n{body}\n{end}{tail}" if body else f"{head}{begin}\n{end}{tail}"
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text()))
