"""Names and words: public class names are unique, functions are verbs, gone words (docs/glossary.md) stay gone."""

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "harness").rglob("*.py"))
TEXTS = sorted(
    [
        *(ROOT / "harness").rglob("*.j2"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "matrices").glob("*.toml"),
        *(ROOT / "harness").rglob("*.toml"),
        *(
            ROOT / name
            for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "results/README.md", "reports/README.md")
        ),
    ]
)
GONE = (
    "told", "held", "deed", "deeds", "heed", "heeds", "heeded", "owed", "beside", "room", "goal", "pace", "partner",
    "visitor", "visitors", "sight", "lineup", "lacking", "readying", "befell", "bear", "bears",
)  # fmt: skip
PHRASES = ("of its own", "a person", "no measurement", "is said", "one's own", "one’s own")
TERMS = ("held-out", "held out", "held_out", "HELD_OUT", '"bear"', "teddy bear")
"""Terms that contain a gone word: of statistics, and objects of GenEval."""
SEARCH = re.compile(rf"\b({'|'.join((*GONE, *PHRASES))})\b", re.IGNORECASE)
EXPLAINS_THEM = ("glossary.md",)


def words_in(text: str) -> set[str]:
    for term in TERMS:
        text = text.replace(term, "")
    return {found.lower() for found in SEARCH.findall(text)}


@cache
def tokens(path: Path) -> list[tokenize.TokenInfo]:
    return list(tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline))


def gone_in(path: Path) -> set[str]:
    if path.suffix != ".py":
        return words_in(path.read_text(encoding="utf-8"))
    texts = (token.string for token in tokens(path) if token.type in (tokenize.STRING, tokenize.COMMENT))
    return words_in("\n".join(texts))


def named_in(path: Path) -> Iterator[str]:
    for token in tokens(path):
        if token.type == tokenize.NAME and token.string not in TERMS:
            parts = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", token.string.replace("held_out", "").replace("HELD_OUT", ""))
            if {part.lower() for part in parts} & set(GONE):
                yield token.string


def test_public_class_names_are_unique() -> None:
    where = defaultdict(list)
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where[node.name].append(str(path.relative_to(ROOT)))
    twice = {name: paths for name, paths in where.items() if len(paths) > 1}
    assert twice == {}


def test_functions_are_not_named_x_of() -> None:
    names = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.endswith("_of")
    ]
    assert names == []


def test_identifiers_use_no_gone_word() -> None:
    assert {str(path.relative_to(ROOT)): found for path in MODULES if (found := sorted(set(named_in(path))))} == {}


@pytest.mark.parametrize("path", [*MODULES, *TEXTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_texts_use_no_gone_word(path: Path) -> None:
    if path.name not in EXPLAINS_THEM:
        assert gone_in(path) == set()
