"""The demo: planted changes are found, the bad night raises no alarm, and nothing is written elsewhere."""

from pathlib import Path

import pytest

from harness.history.table import History
from harness.nightly.demo import DemoResult, run_demo
from harness.nightly.following import follow


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    return run_demo(tmp_path_factory.mktemp("demo") / "out")


def test_every_planted_change_is_found(demo: DemoResult) -> None:
    found = {planted.name: changes for planted, changes in demo.found}
    assert found.pop("bad night") == ()
    assert all(found.values())
    assert len(demo.unplanted) <= 4  # the budget is one a month


def test_accepted_change_has_its_reason(demo: DemoResult) -> None:
    (accepted,) = {planted.name: changes for planted, changes in demo.found}["accepted change"]
    assert accepted.state == "accepted" and "memory" in accepted.why


def test_sizes_are_near_the_planted_ones(demo: DemoResult) -> None:
    for planted, changes in demo.found:
        if planted.shape == "step":
            before, after = changes[0].before.estimate, changes[-1].after.estimate
            size = after - before if planted.quantity.endswith("/loss") else after / before - 1
            assert size == pytest.approx(planted.size, rel=0.2)


def test_page_shows_the_images_that_moved(demo: DemoResult) -> None:
    assert demo.page.read_text(encoding="utf-8").count("data:image/png") == 2


def test_second_time_is_the_same(demo: DemoResult) -> None:
    before = demo.page.read_text(encoding="utf-8")
    again = run_demo(demo.page.parents[3])
    assert again.page == demo.page and again.page.read_text(encoding="utf-8") == before


def test_demo_can_be_followed_as_a_real_history(demo: DemoResult) -> None:
    root = demo.page.parents[3]
    assert {path.name for path in root.iterdir()} == {"results", "reports", "nightly-accepted.toml"}
    history = History.build(root / "results", "nightly-demo")
    assert len(history.nights) == 120


def test_readings_of_zero_are_followed(demo: DemoResult, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs that only hold images have cold starts of 0 s: a warning would fail this test."""
    monkeypatch.chdir(demo.page.parents[3])
    assert follow(Path("nightly-demo-images"), Path("results")).changes == ()


def test_default_folder_is_not_among_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_demo()
    assert [path.name for path in tmp_path.iterdir()] == ["nightly-demo"]
