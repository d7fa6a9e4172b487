"""Weight files: where they are looked for, how they are verified, and downloads from a server that behaves badly."""

import errno
import hashlib
import shutil
import threading
import warnings
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.checkpoints.digest import digest_file
from harness.core.errors import MachineError, MatrixError, UsageError
from harness.matrix.load import parse_matrix
from harness.metrics import Weights, fetch, get_metric, list_metrics, list_weight_files
from harness.metrics._inventory import download
from harness.metrics._open_clip import read_clip_state
from harness.metrics._weights import Form, WeightFile
from tests.builders.hub_server import FakeHub, point_at, serve

CONTENT = bytes(range(256)) * 4096
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT at any path; `asked` are the Range headers it got, `stop` breaks off after so many bytes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.content, self.ranges, self.stop, self.status = CONTENT, True, 0, 0
        self.asked: list[str | None] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of the tests."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/net.pth"


class Answer(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        if server.status:
            return self.send_error(server.status)
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
        if begin >= len(server.content):
            return self.send_error(416)
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(server.content) - begin))
        self.end_headers()
        body = server.content[begin:]
        self.wfile.write(body[: server.stop] if server.stop else body)
        return None

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without caches."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("TORCH_HOME", "XDG_CACHE_HOME", "HARNESS_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path


def told() -> tuple[list[tuple[int, int]], Callable[[str, int, int], None]]:
    steps: list[tuple[int, int]] = []
    return steps, lambda name, here, total: steps.append((here, total))


def form(server: Server, sha256: str = DIGEST) -> Form:
    return Form(file="net.pth", sha256=sha256, url=server.url)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_download_is_verified_and_leaves_one_file(server: Server, tmp_path: Path) -> None:
    steps, advance = told()
    download(form(server), tmp_path / "new" / "net.pth", advance)
    assert (tmp_path / "new" / "net.pth").read_bytes() == CONTENT
    assert left(tmp_path / "new") == ["net.pth"]
    assert steps[-1] == (len(CONTENT), len(CONTENT))


def test_an_interrupted_download_is_kept_and_resumed(server: Server, tmp_path: Path) -> None:
    server.stop = 300_000
    with pytest.raises(MachineError, match="partial download is kept: the same command resumes") as caught:
        download(form(server), tmp_path / "w" / "net.pth", told()[1])
    assert server.url in str(caught.value)
    assert left(tmp_path / "w") == ["net.pth.partial"]
    server.stop = 0
    steps, advance = told()
    download(form(server), tmp_path / "w" / "net.pth", advance)
    assert server.asked == [None, "bytes=300000-"]
    assert steps[0] == (300_000, len(CONTENT))
    assert (tmp_path / "w" / "net.pth").read_bytes() == CONTENT


def test_server_without_resume_sends_all_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.pth.partial").write_bytes(CONTENT[:1000])
    server.ranges = False
    download(form(server), tmp_path / "net.pth", told()[1])
    assert (tmp_path / "net.pth").read_bytes() == CONTENT


def test_a_whole_partial_file_is_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.pth.partial").write_bytes(CONTENT)
    download(form(server), tmp_path / "net.pth", told()[1])
    assert (tmp_path / "net.pth").read_bytes() == CONTENT


def test_foreign_partial_file_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.pth.partial").write_bytes(b"another file")
    download(form(server), tmp_path / "net.pth", told()[1])
    assert server.asked == ["bytes=12-", None]
    assert (tmp_path / "net.pth").read_bytes() == CONTENT


def test_a_wrong_file_is_refused_and_removed(server: Server, tmp_path: Path) -> None:
    server.content = b"<html>please log in</html>"
    with pytest.raises(MachineError, match=rf"the download is not net\.pth.*expected {DIGEST}; it was removed"):
        download(form(server), tmp_path / "w" / "net.pth", told()[1])
    assert left(tmp_path / "w") == []


def test_a_prefix_is_enough_where_no_more_is_published(server: Server, tmp_path: Path) -> None:
    download(form(server, DIGEST[:8]), tmp_path / "net.pth", told()[1])
    with pytest.raises(MachineError, match="the download is not"):
        download(form(server, "00000000"), tmp_path / "other.pth", told()[1])


def test_no_server_is_one_clear_error(server: Server, tmp_path: Path) -> None:
    dead = Form(file="net.pth", sha256=DIGEST, url="http://127.0.0.1:9/net.pth")
    with pytest.raises(MachineError, match=r"cannot download net\.pth: no connection") as caught:
        download(dead, tmp_path / "net.pth", told()[1])
    assert "on another machine and put it into" in caught.value.fix
    server.status = 404
    with pytest.raises(MachineError, match="the server answers 404"):
        download(form(server), tmp_path / "net.pth", told()[1])


def test_a_full_disk_is_one_clear_error(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(MachineError, match=r"the disk is full: net\.pth does not fit"):
        download(form(server), tmp_path / "w" / "net.pth", told()[1])
    assert left(tmp_path / "w") == []


def test_unwritable_folder_is_one_clear_error(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, **_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(MachineError, match=r"cannot write net\.pth: Permission denied"):
        download(form(server), tmp_path / "w" / "net.pth", told()[1])


def wanted(**changes: object) -> WeightFile:
    also = (Form(file="older.pth", sha256=hashlib.sha256(b"older").hexdigest(), origin="a package"),)
    return WeightFile.model_validate({"key": "net", "file": "net.pth", "sha256": DIGEST, "also": also, **changes})


def test_matrix_precedes_variable_and_caches(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch_home = nowhere / "home" / ".cache" / "torch" / "hub" / "checkpoints"
    clip_home, named, own = nowhere / "home" / ".cache" / "clip", nowhere / "named", nowhere / "own.bin"
    monkeypatch.setenv("HARNESS_WEIGHTS", str(named))
    for folder in (clip_home, torch_home, named):
        folder.mkdir(parents=True)
        (folder / "net.pth").write_bytes(CONTENT)
        assert Weights().find(wanted()) == folder / "net.pth"
    own.write_bytes(CONTENT)
    assert Weights.of({"net": str(own)}).find(wanted()) == own
    monkeypatch.setenv("TORCH_HOME", str(nowhere / "elsewhere"))
    assert nowhere / "elsewhere" / "hub" / "checkpoints" / "net.pth" in Weights().places(wanted())
    with pytest.raises(MachineError, match=r"not found: net\.pth .*searched .*absent"):
        Weights.of({"net": str(nowhere / "absent")}).find(wanted())


def test_same_weights_of_another_name_are_accepted(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_WEIGHTS", str(nowhere))
    (nowhere / "older.pth").write_bytes(b"older")
    found = Weights().locate(wanted())
    assert found is not None
    assert (found.path.name, found.check) == ("older.pth", "sha256")


def test_a_prefix_is_said_to_be_one(nowhere: Path) -> None:
    path = nowhere / "any-name"
    path.write_bytes(CONTENT)
    found = Weights.of({"net": str(path)}).locate(wanted(sha256=DIGEST[:8]))
    assert found is not None
    assert (found.check, found.sha256) == ("prefix", DIGEST)


def test_hugging_face_cache_is_searched_and_verified(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = nowhere / "hub" / "models--some--net"
    blob = repository / "blobs" / DIGEST
    shot = repository / "snapshots" / "abc"
    for folder in (blob.parent, shot, repository / "refs"):
        folder.mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc", encoding="utf-8")
    blob.write_bytes(CONTENT)
    (shot / "net.safetensors").symlink_to(blob)
    file = wanted(sha256="0" * 64, also=(Form(file="net.safetensors", hub="some/net"),))
    found = Weights().locate(file)
    assert found is not None
    assert (found.check, found.sha256) == ("hub", DIGEST)
    blob.write_bytes(b"damaged")
    with pytest.raises(MachineError, match=r"this is not net\.pth"):
        Weights().locate(file)


def test_a_file_that_changed_is_hashed_again(nowhere: Path) -> None:
    path = nowhere / "net.pth"
    path.write_bytes(b"one")
    before = digest_file(path)
    path.write_bytes(b"another")
    assert digest_file(path) != before


def test_every_file_of_every_metric_is_listed_once(nowhere: Path) -> None:
    rows = list_weight_files([get_metric(name) for name in list_metrics()], Weights())
    keys = [row.key or row.path for row in rows]
    assert len(keys) == len(set(keys))
    listed = {name for row in rows for name in row.metrics}
    assert listed == {name for name in list_metrics() if get_metric(name).needs() or get_metric(name).ships()}
    for row in rows:
        assert len(row.sha256) in (0, 8, 64), row.file
        assert row.sha256 or row.source.startswith("https://huggingface.co/"), row.file
        if row.key:
            assert row.state == "missing"
            assert row.searched
            assert "harness weights" in row.advice
            assert row.source.startswith("https://")


def test_public_addresses_carry_their_digest() -> None:
    forms = {form for name in list_metrics() for file in get_metric(name).needs() for form in file.forms if form.url}
    assert len(forms) >= 5
    for found in forms:
        assert found.url.startswith("https://")
        assert found.sha256[:8] in found.url, "torchvision, pytorch-fid and OpenAI publish digests in their addresses"


def test_wrong_weights_are_listed_as_wrong(nowhere: Path) -> None:
    path = nowhere / "wrong.pth"
    path.write_bytes(b"not these")
    row = list_weight_files([get_metric("fid:mlperf")], Weights.of({"inception": str(path)}))[0]
    assert row.state == "wrong"
    assert row.path == str(path)
    assert "this is not" in row.advice


def test_a_pointer_in_place_of_weights_is_named(nowhere: Path) -> None:
    (nowhere / "w.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4000000\n")
    with pytest.raises(MachineError, match="Git LFS pointer") as caught:
        Weights(paths={"net": str(nowhere / "w.pth")}).find(wanted())
    assert caught.value.where == str(nowhere / "w.pth")
    assert "git lfs pull" in caught.value.fix


def test_unknown_weights_key_suggests_a_known_one() -> None:
    text = 'name = "x"\n[axes]\nsteps = [4]\n[quality.weights]\ninceptoin = "a.pth"\nclip = "b.pt"\n'
    with pytest.raises(MatrixError, match=r'quality\.weights\.inceptoin.*Did you mean "inception"\?') as caught:
        parse_matrix(text)
    assert len(caught.value.problems) == 1


def test_a_download_must_be_told_for_what() -> None:
    from harness import api

    with pytest.raises(UsageError, match="a matrix file or metrics"):
        api.weights(download=True)


def test_requested_download_goes_to_the_torch_cache(
    server: Server, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness import api

    file = wanted(url=server.url)
    monkeypatch.setattr(type(get_metric("fid:mlperf")), "needs", lambda self: (file,))
    shared = nowhere / "shared"
    shared.mkdir()
    monkeypatch.setenv("HARNESS_WEIGHTS", str(shared))
    rows = api.weights(("fid:mlperf",), download=True)
    assert [(row.state, row.check) for row in rows] == [("found", "sha256")]
    assert rows[0].path == str(nowhere / "home" / ".cache" / "torch" / "hub" / "checkpoints" / "net.pth")
    assert left(shared) == []


def of_hub(**changes: object) -> WeightFile:
    return WeightFile.model_validate({"key": "net-config", "file": "config.json", "hub": "some/net", **changes})


def in_cache(cache: Path, content: bytes) -> Path:
    """A small file as the Hub's client leaves it: named by git's digest."""
    repository = cache / "models--some--net"
    blob = repository / "blobs" / hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    shot = repository / "snapshots" / "abc"
    for folder in (blob.parent, shot, repository / "refs"):
        folder.mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    blob.write_bytes(content)
    (shot / "config.json").symlink_to(blob)
    return blob


def test_small_hub_file_is_verified_by_its_git_name(nowhere: Path) -> None:
    blob = in_cache(nowhere / "hub", b"{}")
    found = Weights().locate(of_hub())
    assert found is not None
    assert (found.check, found.sha256) == ("hub", hashlib.sha256(b"{}").hexdigest())
    blob.write_bytes(b"{} ")
    with pytest.raises(MachineError, match=r"this is not config\.json of some/net: its sha256 is"):
        Weights().locate(of_hub())


def test_hub_verified_file_is_taken_only_from_the_hub(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_WEIGHTS", str(nowhere))
    (nowhere / "config.json").write_bytes(b"{}")
    with pytest.raises(MachineError, match=r"not found: config\.json of some/net; searched the Hugging Face") as lost:
        Weights().find(of_hub())
    assert "hf download some/net config.json" in lost.value.fix
    assert getattr(lost.value, "short", "") == "config.json of some/net is not on this machine"
    named = Weights.of({"net-config": str(nowhere / "config.json")})
    with pytest.raises(MachineError, match="only a file in that cache can be verified so"):
        named.find(of_hub())
    in_cache(nowhere / "hub", b"{}")
    assert Weights().find(of_hub()).read_bytes() == b"{}"


def test_hub_files_are_downloaded_into_the_hub_cache(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vqa, folder = get_metric("vqa"), nowhere / "repository"
    folder.mkdir()
    for needed in vqa.needs():
        (folder / needed.file).write_bytes(needed.file.encode() * 999)
    with serve(FakeHub(vqa.needs()[0].hub, folder)) as hub:
        point_at(hub, nowhere / "hub", monkeypatch)
        fetched = fetch([vqa], Weights())
        assert [path.name for path in fetched] == ["config.json", "tokenizer.json", "model.safetensors"]
        assert {row.state for row in list_weight_files([vqa], Weights())} == {"found"}
        assert fetch([vqa], Weights()) == ()
        elsewhere = Weights.of({"smolvlm": str(nowhere / "absent")})
        with pytest.raises(MachineError, match=r"model\.safetensors of .* cannot be downloaded"):
            fetch([vqa], elsewhere)
        hub.cuts["config.json"] = 100
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(nowhere / "broken off"))
        assert len(fetch([vqa], Weights())) == 3, "the Hub's client goes on where it was broken off"
        hub.down = True
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(nowhere / "another"))
        with pytest.raises(MachineError, match=r"cannot download config\.json of HuggingFaceTB"):
            fetch([vqa], Weights())


def test_an_archive_of_clip_is_read_in_silence(tmp_path: Path) -> None:
    import torch

    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 1)), tmp_path / "ViT.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(read_clip_state(tmp_path / "ViT.pt")) == {"weight", "bias"}
