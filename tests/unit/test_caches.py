"""The folder of caches: the user's own where it can be written, else one that lasts as long as the command."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import platformdirs
import pytest

from harness import api
from harness.checkpoints.cache import keep, read_kept
from harness.core.errors import MachineError, UsageError
from harness.core.parsing import CACHE_VARIABLE
from harness.evaluation.reference import open_reference
from harness.execution.launchers import MAX_SOCKET_PATH, keep_sockets_short
from harness.metrics import Weights, get_metric
from harness.metrics._weights import find_cache_folder
from harness.store.caches import build_cache_dir, features_cache_dir, find_cache


@pytest.fixture(autouse=True)
def _own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the code sets for its workers is gone after each test."""
    for name in (CACHE_VARIABLE, "MPLCONFIGDIR"):
        monkeypatch.setenv(name, "x")
        monkeypatch.delenv(name)


def test_usual_cache_folder_is_used_if_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert find_cache() == (tmp_path / "harness", "")
    assert CACHE_VARIABLE not in os.environ
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "other"))
    assert features_cache_dir() == tmp_path / "other" / "features"


def test_an_unwritable_cache_becomes_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    found = find_cache()
    assert found.folder.is_dir()
    assert found.caution.startswith(f"caches cannot be kept in {tmp_path}/file/harness (Not a directory)")
    assert CACHE_VARIABLE in found.caution
    assert os.environ[CACHE_VARIABLE] == str(found.folder)  # workers find the same one
    assert build_cache_dir() == found.folder / "builds"
    assert api.cache_caution() == found.caution  # asked again, the answer is the same


def test_a_user_without_a_home_has_a_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unknown(name: str) -> str:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(platformdirs, "user_cache_dir", unknown)
    assert "this user has no home folder" in find_cache().caution
    assert not list(tmp_path.iterdir())  # no folder called ~


def test_weight_facts_are_kept_in_the_folder_of_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "other"))
    keep("digests", "a", 1)
    assert read_kept("digests", "a") == 1
    assert (tmp_path / "other" / "digests").is_dir()


def test_weight_facts_are_not_kept_without_a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unknown(name: str) -> str:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(platformdirs, "user_cache_dir", unknown)
    keep("digests", "a", 1)
    assert read_kept("digests", "a") is None
    assert not list(tmp_path.iterdir())


def test_a_reference_below_an_unknown_home_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        open_reference("~nobody-of-this-name/images")
    assert caught.value.where == "~nobody-of-this-name/images"


def test_no_cache_folder_is_a_machine_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(MachineError, match="no folder for caches can be written"):
        find_cache()


def test_weights_are_found_without_a_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as for a uid that passwd does not know
    monkeypatch.setenv("HARNESS_WEIGHTS", str(tmp_path))
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    (wanted,) = get_metric("clip:mlperf").needs()
    assert {place.parent for place in Weights().places(wanted)} == {tmp_path}
    with pytest.raises(UsageError, match="home folder"):
        find_cache_folder()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert find_cache_folder() in {place.parent for place in Weights().places(wanted)}


@pytest.mark.parametrize("name", ["HARNESS_WEIGHTS", "TORCH_HOME"])
def test_unknown_key_of_a_weights_place_is_an_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "~no-such-user-here/weights")
    with pytest.raises(UsageError, match="home folder") as caught:
        Weights().places(get_metric("clip:mlperf").needs()[0])
    assert caught.value.where == "~no-such-user-here/weights"


def test_long_temporary_folder_is_not_used_for_sockets(tmp_path: Path) -> None:
    long = tmp_path / ("t" * MAX_SOCKET_PATH)
    long.mkdir()
    script = (
        "from harness.execution.launchers import ProcessLauncher\n"
        "import multiprocessing.util\n"
        "launcher = ProcessLauncher(with_torch=False)\n"
        "launcher.prepare()\n"
        "print(multiprocessing.util.get_temp_dir())"
    )
    around = {**os.environ, "TMPDIR": str(long)}
    answer = subprocess.run(
        [sys.executable, "-c", script], env=around, capture_output=True, encoding="utf-8", check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert len(answer.stdout.strip()) + len("/listener-12345678") < MAX_SOCKET_PATH
    assert not Path(answer.stdout.strip()).exists()  # removed at the end


def test_no_short_folder_is_an_error_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from multiprocessing import process

    monkeypatch.setattr(process.current_process(), "_config", {})
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **_: (_ for _ in ()).throw(OSError("read-only")))
    with pytest.raises(MachineError, match="too long for sockets"):
        keep_sockets_short()
