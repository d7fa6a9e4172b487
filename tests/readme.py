"""Fill the generated parts of README.md and docs: `python -m tests.readme` writes them, a test checks them."""

import re
from collections.abc import Callable, Mapping
from itertools import takewhile
from pathlib import Path

from harness import claims
from harness.api import list_axes, list_policies
from harness.core.policy import rule_words, sees_words
from harness.core.rule import ABOUT

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
QUALITY = ROOT / "docs" / "quality.md"
CLAIMS = ROOT / "docs" / "claims.md"
TIMING = ROOT / "docs" / "timing.md"
RATES = ROOT / "docs" / "simulated-rates.md"
DOCS = ROOT / "docs"
SHOWN_COLUMNS = ("Cell", "Verdict", "Speedup", "Worst loss", "Peak memory")
AGAINST_ITSELF = "\n## The baseline against itself\n"
SAMPLE = ROOT / "reports" / "sample"


def axes_table() -> str:
    """Return the table of all axes and values."""
    lines = ["| axis | value | what it is | options | needs |", "|---|---|---|---|---|"]
    for row in list_axes():
        value = row["value"] if row["value"] == "…" else f"`{row['value']}`"
        options = ", ".join(f"`{name}`" for name in row["options"])
        lines.append(f"| {row['axis']} | {value} | {row['summary']} | {options} | {row['needs']} |")
    return "\n".join(lines)


def policies_table() -> str:
    """Return the table of the shipped policies."""
    lines = ["| policy | what it asks | rules |", "|---|---|---|"]
    for policy in list_policies():
        rules = "<br>".join(words for words in (*map(rule_words, policy.gate), sees_words(policy)) if words)
        lines.append(f"| `{policy.name}` | {policy.about} | {rules} |")
    return "\n".join(lines)


def quantities_table() -> str:
    """Return the table of what a rule can be about."""
    lines = ["| quantity | what it is |", "|---|---|"]
    lines += [f"| `{quantity}` | {about} |" for quantity, about in ABOUT.items()]
    return "\n".join(lines)


def demo_part() -> str:
    """Return the first columns of the committed sample report's table of cells."""
    report = _sample_report()
    if report is None:
        return ""
    lines = report.read_text(encoding="utf-8").splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("| Cell | Verdict |"))
    rows = [re.split(r"(?<!\\) ?\| ?", line.strip("| ")) for line in takewhile(bool, lines[begin:])]
    chosen = [rows[0].index(name) for name in SHOWN_COLUMNS]
    return "\n".join(f"| {' | '.join(row[column] for column in chosen)} |" for row in rows)


def image_part() -> str:
    """Return the Pareto chart of the committed sample report."""
    report = _sample_report()
    if report is None:
        return ""
    folder = report.parent.relative_to(ROOT)
    caption = "Seconds per image against worst loss, for every cell of the quickstart"
    return f"[![{caption}]({folder}/figures/pareto.svg)]({folder}/index.html)"


def _sample_report() -> Path | None:
    reports = sorted(SAMPLE.glob("*/report.md"))
    return reports[-1] if reports else None


def quality_part() -> str:
    """Return the forest plot, the verdicts and the damage ladder of the committed sample report."""
    reports = sorted(SAMPLE.glob("*/report.md"))
    if not reports:
        return ""
    place = f"../{reports[-1].parent.relative_to(ROOT)}"
    text = reports[-1].read_text(encoding="utf-8")
    sections = re.findall(
        r"^## (Verdicts|What these metrics would miss)\n(.*?)(?=^## |^Run `|\Z)", text, re.MULTILINE | re.DOTALL
    )
    shown = [f"### {name}\n{body.rstrip()}" for name, body in sections]
    caption = "Every judged loss with its 95 % interval (thick), its verdict's bounds (thin) and its margin (dashed)"
    lead = f"The quickstart, as committed ([the page]({place}/index.html)).\n\n![{caption}]({place}/figures/forest.svg)"
    return "\n\n".join([lead, f"*{caption}.*", *shown])


def rates_part() -> str:
    """Return the extremes of the simulated rates by kind of interval and number of prompts."""
    rows = _rows(RATES.read_text(encoding="utf-8").partition(AGAINST_ITSELF)[0])
    groups: dict[tuple[str, int], list[list[str]]] = {}
    for row in rows:
        groups.setdefault((row[0].partition(",")[0], int(row[1])), []).append(row)
    lines = [
        "| interval | prompts | kinds of data | 95 % covers, least | most | passes at 5 %, most | at 0.5 %, most |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for (name, prompts), members in groups.items():
        column = {index: sorted(row[index] for row in members) for index in (3, 4, 5)}
        ends = (column[3][0], column[3][-1], column[4][-1], column[5][-1])
        lines.append(f"| {name} | {prompts} | {len(members)} | {' | '.join(ends)} |")
    return "\n".join(lines)


def aa_part() -> str:
    """Return what simulated runs of the baseline against itself said that stopped once they were precise enough."""
    lines = [
        "| machine | cells | calls per block | runs | 95 % interval has 1.00 | median half-width | median rounds |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for machine, calls, rounds, *found in _rows(RATES.read_text(encoding="utf-8").partition(AGAINST_ITSELF)[2]):
        if rounds.startswith("until"):
            shared = re.search(r"(\d+) cells", rounds)
            cells = shared[1] if shared else 1
            lines.append(f"| {machine} | {cells} | {calls} | {' | '.join(found[:4])} |")
    return "\n".join(lines)


def _rows(text: str) -> list[list[str]]:
    """Return the cells of a table's rows, without its heading."""
    return [line.strip("| \n").split(" | ") for line in text.splitlines() if line.startswith("| ")][1:]


def claims_table() -> str:
    """Return the table of the shipped claims."""
    lines = ["| claim | statement | figure | on | source |", "|---|---|---|---|---|"]
    for claim in claims.shipped_claims():
        source = f"[{claim.source.title}]({claim.source.url})" if claim.source.url else claim.source.title
        figure = claims.write_claimed(claim)
        lines.append(f"| `{claim.id}` | {claim.what} | {figure} | {claims.name_gpus(claim)} | {source} |")
    return "\n".join(lines)


def claim_quantities_table() -> str:
    """Return the table of what a claim can be about."""
    lines = ["| quantity | what it is |", "|---|---|"]
    lines += [f"| `{quantity}` | {about} |" for quantity, about in claims.ABOUT.items()]
    return "\n".join(lines)


def matrices_table() -> str:
    """Return the table of the shipped matrices: the question each answers."""
    lines = ["| matrix | what it answers |", "|---|---|"]
    for path in sorted((ROOT / "matrices").glob("*.toml")):
        comment = " ".join(line.strip("# ") for line in path.read_text(encoding="utf-8").split("\n\n")[0].splitlines())
        answered = re.sub(r" What it needs:.*", "", comment).removeprefix("What it answers: ")
        question = answered[: answered.rindex("?") + 1]
        lines.append(f"| [{path.stem}](../matrices/{path.name}) | {question[0].upper()}{question[1:]} |")
    return "\n".join(lines)


PARTS = {"image": image_part, "demo": demo_part}
QUALITY_PARTS = {"quality": quality_part, "rates": rates_part}
TIMING_PARTS = {"aa": aa_part}
CLAIMS_PARTS = {"claim-quantities": claim_quantities_table, "claims": claims_table}
PAGES = {
    README: PARTS,
    DOCS / "matrices.md": {"matrices": matrices_table},
    DOCS / "values.md": {"axes": axes_table},
    DOCS / "policies.md": {"policies": policies_table, "quantities": quantities_table},
    QUALITY: QUALITY_PARTS,
    CLAIMS: CLAIMS_PARTS,
    TIMING: TIMING_PARTS,
}


def filled(text: str, parts: Mapping[str, Callable[[], str]] = PARTS) -> str:
    """Return a page's text with every generated part made anew."""
    for name, make in parts.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        head, rest = text.split(begin)
        _, tail = rest.split(end)
        body = make()
        text = f"{head}{begin}\n{body}\n{end}{tail}" if body else f"{head}{begin}\n{end}{tail}"
    return text


if __name__ == "__main__":
    for page, generated in PAGES.items():
        page.write_text(filled(page.read_text(encoding="utf-8"), generated), encoding="utf-8")
