"""The README is true: generated parts are current, its matrix loads, its commands and names exist."""

import re
from pathlib import Path

import harness
from harness.cli.commands import app
from harness.matrix import expand, parse_matrix
from tests.readme import README, ROOT, filled

TEXT = README.read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_generated_parts_are_current() -> None:
    assert filled(TEXT) == TEXT, "run: python -m tests.readme"


def test_its_matrix_is_right() -> None:
    for block in blocks("toml"):
        assert len(expand(parse_matrix(block))) == 6


def test_its_commands_exist() -> None:
    known = {command.callback.__name__ for command in app.registered_commands if command.callback}
    used = set(re.findall(r"`harness (\w+)", TEXT))
    assert used
    assert used <= known


def test_its_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", "\n".join(blocks("sh")), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_its_python_uses_public_names() -> None:
    for block in blocks("python"):
        compile(block, "README", "exec")
        assert set(re.findall(r"harness\.(\w+)\(", block)) <= set(harness.__all__)


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert target.startswith("https://") or (Path(ROOT) / target).exists(), target
