"""The README is true: generated parts are current, its matrix loads, its commands and names exist."""

import re
from pathlib import Path

import harness
from harness.cli.commands import app
from harness.core.matrix import Measure
from harness.matrix import expand, parse_matrix, parse_policy
from tests.readme import PAGES, README, ROOT, filled

TEXT = README.read_text(encoding="utf-8")


def blocks(language: str, page: Path = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def test_the_generated_parts_are_current() -> None:
    for page, parts in PAGES.items():
        assert filled(page.read_text(encoding="utf-8"), parts) == page.read_text(encoding="utf-8"), (
            "run: python -m tests.readme"
        )


def test_its_matrix_and_its_policy_are_right() -> None:
    docs = ROOT / "docs"
    (matrix,), (adaptive, measure) = blocks("toml"), blocks("toml", docs / "matrices.md")
    (policy,) = blocks("toml", docs / "policies.md")
    assert len(expand(parse_matrix(matrix))) == 6
    assert parse_matrix(f'name = "adaptive"\naxes.steps = [4]\n{adaptive}').quality.max == 256
    timed = parse_matrix(f'name = "timed"\naxes.steps = [4]\n{measure}')
    assert timed.measure == Measure()  # what it shows are the defaults
    assert timed.prices.per_hour["*"] == 0.2
    assert len(parse_policy(policy, "signoff").gate) == 4


def test_it_is_short() -> None:
    assert len(TEXT.splitlines()) <= 180


def test_its_commands_exist() -> None:
    known = {command.callback.__name__ for command in app.registered_commands if command.callback}
    used = set(re.findall(r"`harness (\w+)", TEXT))
    assert used
    assert used <= known


def test_its_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", "\n".join(blocks("sh")), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_its_python_uses_public_names() -> None:
    for block in blocks("python"):
        compile(block, "README", "exec")
        assert set(re.findall(r"harness\.(\w+)\(", block)) <= set(harness.__all__)


def test_its_links_lead_somewhere() -> None:
    for page in (README, ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert target.startswith("https://") or (page.parent / target).exists(), (page.name, target)
