"""Limits on the size of files, functions and test names: `python -m tests.figures_of_code` prints the figures."""

from tests.figures_of_code import (
    find_large_files,
    find_long_functions,
    find_long_test_names,
    find_wide_functions,
    read_sources,
)

FILE_LINES, FUNCTION_LINES, PARAMETERS = 400, 40, 5
HARNESS = read_sources("harness")
TESTS = read_sources("tests")


def test_files_stay_within_the_limit() -> None:
    assert find_large_files([*HARNESS, *TESTS], FILE_LINES) == []


def test_functions_stay_within_the_limit() -> None:
    assert find_long_functions([*HARNESS, *TESTS], FUNCTION_LINES) == []


def test_functions_take_few_parameters() -> None:
    commands = "harness/cli/"  # a command's parameters are its options
    assert find_wide_functions([source for source in HARNESS if not source.name.startswith(commands)], PARAMETERS) == []


def test_test_names_stay_short() -> None:
    assert find_long_test_names(TESTS) == []
