"""What contract tests share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for what values build: graphs, engines, compiled code."""
    return tmp_path_factory.mktemp("builds")
