"""Fixtures of several folders, and settings of the test session."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine takes seconds for one example
settings.load_profile("untimed")


def pytest_collection_finish() -> None:
    """Exempt all that collection imported from garbage collection: each worker of the harness runs a full one."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks the Hugging Face Hub, except for those that serve one themselves."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="session", autouse=True)
def _one_process_server() -> Iterator[None]:
    """The first run starts the server for all later runs of the session, so it imports for the largest of them."""
    from harness.execution import launchers

    with pytest.MonkeyPatch.context() as patch:
        listed = launchers.list_preloads
        patch.setattr(launchers, "list_preloads", lambda with_torch, gpu: listed(True, gpu))
        yield


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function from a family to the folder of its tiny pipeline, built once a session."""
    root = tmp_path_factory.mktemp("tiny")

    def folder(family: str) -> Path:
        from tests.tiny import build_tiny

        place = root / family
        return place if place.exists() else build_tiny(family, place)

    return folder
