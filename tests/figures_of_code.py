"""Print how large the code is and how finely it is cut: `python -m tests.figures_of_code`."""

import ast
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
LONGEST_TEST_NAME = 50

Function = ast.FunctionDef | ast.AsyncFunctionDef


class SourceFile:
    """One Python file with what its figures are computed from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.relative_to(ROOT).as_posix()
        self.text = path.read_text(encoding="utf-8")
        self.lines = len(self.text.splitlines())

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(ast.parse(self.text)))

    @property
    def functions(self) -> list[Function]:
        return [node for node in self.nodes if isinstance(node, Function)]

    @property
    def import_lines(self) -> int:
        return sum(_count_lines(node) for node in self.nodes if isinstance(node, ast.Import | ast.ImportFrom))

    @property
    def tests(self) -> list[str]:
        return [function.name for function in self.functions if function.name.startswith("test_")]


def read_sources(folder: str) -> list[SourceFile]:
    """Return the Python files below a folder of the repository, in alphabetical order."""
    return [SourceFile(path) for path in sorted((ROOT / folder).rglob("*.py"))]


def find_large_files(sources: Iterable[SourceFile], limit: int) -> list[str]:
    """Return a line of text for each file with more than `limit` lines."""
    return [f"{source.name}: {source.lines} lines" for source in sources if source.lines > limit]


def find_long_functions(sources: Iterable[SourceFile], limit: int) -> list[str]:
    """Return a line of text for each function with more than `limit` lines, decorators left out."""
    return [
        f"{source.name}:{function.lineno}: {function.name} has {_count_lines(function)} lines"
        for source in sources
        for function in source.functions
        if _count_lines(function) > limit
    ]


def find_wide_functions(sources: Iterable[SourceFile], limit: int) -> list[str]:
    """Return a line of text for each function with more than `limit` parameters besides keyword-only ones."""
    return [
        f"{source.name}:{function.lineno}: {function.name} takes {_count_parameters(function)} parameters"
        for source in sources
        for function in source.functions
        if _count_parameters(function) > limit
    ]


def find_long_test_names(sources: Iterable[SourceFile], limit: int = LONGEST_TEST_NAME) -> list[str]:
    """Return each test whose name has more than `limit` characters."""
    return [f"{source.name}: {name}" for source in sources for name in source.tests if len(name) > limit]


def _count_lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _count_parameters(function: Function) -> int:
    arguments = [*function.args.posonlyargs, *function.args.args]
    return len([argument for argument in arguments if argument.arg not in ("self", "cls")])


def _find_package(source: SourceFile) -> str:
    parts = Path(source.name).parts
    return f"{parts[0]}/{parts[1]}" if len(parts) > 2 else parts[0]


def describe_sizes(sources: Sequence[SourceFile]) -> list[str]:
    """Return lines of text about all files, then about each package."""
    lines = sum(source.lines for source in sources)
    imports = sum(source.import_lines for source in sources)
    lengths = sorted(_count_lines(function) for source in sources for function in source.functions)
    largest = max(sources, key=lambda source: source.lines)
    packages = sorted({_find_package(source) for source in sources})
    shares = {package: [source.lines for source in sources if _find_package(source) == package] for package in packages}
    return [
        f"{lines:7,} lines in {len(sources)} files, imports {imports / lines:.1%} of lines",
        f"{median(source.lines for source in sources):7.0f} lines in the median file, "
        f"{largest.lines} in the largest ({largest.name})",
        f"{lengths[int(0.9 * len(lengths))]:7} lines in the 90th-percentile function, {lengths[-1]} in the longest",
        *(f"{sum(sizes):7,} lines in {len(sizes):3} files: {package}" for package, sizes in shares.items()),
    ]


def main() -> None:
    """Print the figures of harness/, then of tests/."""
    tests = read_sources("tests")
    for title, sources in (("harness", read_sources("harness")), ("tests", tests)):
        print(title, *describe_sizes(sources), sep="\n")
    count = sum(len(source.tests) for source in tests)
    print(
        f"{count:7,} test functions, {len(find_long_test_names(tests))} with names over {LONGEST_TEST_NAME} characters"
    )


if __name__ == "__main__":
    main()
