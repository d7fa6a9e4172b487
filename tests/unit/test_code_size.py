"""Limits on the size of files, functions and test names: `python -m tests.figures_of_code` prints the figures."""

from tests.figures_of_code import (
    find_large_files,
    find_long_functions,
    find_long_test_names,
    find_wide_functions,
    read_sources,
)

HARNESS = read_sources("harness")
TESTS = read_sources("tests")


def test_no_file_has_more_than_400_lines() -> None:
    assert find_large_files([*HARNESS, *TESTS], 400) == []


def test_no_function_has_more_than_40_lines() -> None:
    assert find_long_functions([*HARNESS, *TESTS], 40) == []


def test_no_function_takes_more_than_5_parameters() -> None:
    commands = "harness/cli/"  # a command's parameters are its options
    assert find_wide_functions([source for source in HARNESS if not source.name.startswith(commands)], 5) == []


def test_no_test_name_has_more_than_50_characters() -> None:
    assert find_long_test_names(TESTS, 50) == []
