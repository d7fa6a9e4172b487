"""Notifications: targets are checked before measuring, and no token is printed."""

import sys
from typing import Any

import pytest

from harness.core.errors import MachineError, UsageError
from harness.nightly.notifying import Targets


def test_messages_reach_every_target(monkeypatch: pytest.MonkeyPatch) -> None:
    apprise = pytest.importorskip("apprise")
    sent: list[tuple[str, str, str]] = []

    class Recorder(apprise.plugins.base.NotifyBase):  # type: ignore[misc, name-defined]
        protocol = service_name = "recorder"
        templates = ("{schema}://{host}",)

        def send(self, body: str, title: str = "", **options: Any) -> bool:
            sent.append((self.host, title, body))
            return self.host != "broken"

    apprise.plugins.N_MGR.add(Recorder, schemas="recorder")
    monkeypatch.setenv("NIGHTLY_TEST_URL", "recorder://second")
    try:
        assert Targets(("recorder://first", "NIGHTLY_TEST_URL")).send("sdxl", "No regression.")
        assert not Targets(("recorder://broken",)).send("sdxl", "No regression.")
    finally:
        apprise.plugins.N_MGR.remove("recorder")
    assert sent[:2] == [("first", "sdxl", "No regression."), ("second", "sdxl", "No regression.")]


@pytest.mark.parametrize(
    ("entries", "error"),
    [((), UsageError), (("NIGHTLY_UNSET",), MachineError), (("slack://secret",), UsageError)],
)
def test_wrong_targets_are_refused(entries: tuple[str, ...], error: type[Exception]) -> None:
    pytest.importorskip("apprise")
    with pytest.raises(error) as caught:
        Targets(entries)
    assert "secret" not in str(caught.value)


def test_without_apprise_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(MachineError) as caught:
        Targets(("mailto://x",))
    assert "diffusion-harness[notify]" in caught.value.fix
