"""A stand-in for the Hugging Face Hub: serves a folder as one repository, with the endpoints that downloads use."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MOVED = "89abcdef0123456789abcdef0123456789abcdef"


class FakeHub:
    """One repository: `main` is at `commit`; what it was asked is in `requests`, `cuts` breaks transfers off once."""

    def __init__(self, repository: str, folder: Path) -> None:
        self.repository, self.folder = repository, folder
        self.commit = COMMIT
        self.gated = False
        self.down = False
        self.requests: list[tuple[str, str]] = []
        """What was asked: the method, and the file of a transfer (with its range) or the API's path."""
        self.cuts: dict[str, int] = {}
        """File → after how many bytes its next transfer breaks off."""
        self.endpoint = ""

    def files(self) -> dict[str, Path]:
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path for path in paths}

    def transferred(self) -> list[str]:
        return [what for method, what in self.requests if method == "GET" and not what.startswith("api/")]


@contextmanager
def serve(hub: FakeHub) -> Iterator[FakeHub]:
    """Serve the hub on a free port of this machine; its `endpoint` says where."""

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def point_at(hub: FakeHub, cache: Path, patch: pytest.MonkeyPatch) -> None:
    """Let huggingface_hub take the hub for the only one there is, with a cache of its own and without a token."""
    from huggingface_hub import constants

    patch.setattr(constants, "ENDPOINT", hub.endpoint)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    patch.setattr(constants, "HF_HUB_CACHE", str(cache))
    patch.setattr(constants, "HF_TOKEN_PATH", str(cache / "no-token"))
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr("huggingface_hub.utils._http.time", SimpleNamespace(sleep=lambda _: None))  # between retries
    patch.setenv("NO_PROXY", "127.0.0.1")
    patch.delenv("HF_TOKEN", raising=False)


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path).lstrip("/")
        if self.hub.down:
            self.hub.requests.append(("refused", path))
            self._say(503, b"")
        elif path.startswith(f"api/models/{self.hub.repository}"):
            self.hub.requests.append((self.command, path))
            self._tell(path.removeprefix(f"api/models/{self.hub.repository}").strip("/"))
        elif path.startswith(f"{self.hub.repository}/resolve/"):
            revision, file = path.removeprefix(f"{self.hub.repository}/resolve/").split("/", 1)
            self._give(revision, file)
        else:
            self._refuse(401, "RepoNotFound")

    def _tell(self, rest: str) -> None:
        word, _, revision = rest.partition("/")
        if not self._known(revision or "main"):
            return
        if word == "auth-check" and not self._admitted():
            return self._refuse(403, "GatedRepo")
        files = {name: (path.stat().st_size, _oid(path)) for name, path in self.hub.files().items()}
        answer: Any = [{"type": "file", "oid": oid, "size": size, "path": name} for name, (size, oid) in files.items()]
        if word != "tree":
            siblings = [{"rfilename": name, "size": size, "blobId": oid} for name, (size, oid) in files.items()]
            answer = {"id": self.hub.repository, "sha": self.hub.commit, "siblings": siblings, "private": False}
            answer |= {"tags": [], "downloads": 0, "likes": 0, "gated": "manual" if self.hub.gated else False}
        self._say(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _give(self, revision: str, file: str) -> None:
        if not self._known(revision):
            return
        if not self._admitted():
            return self._refuse(401, "GatedRepo")
        path = self.hub.files().get(file)
        if path is None:
            return self._refuse(404, "EntryNotFound")
        content = path.read_bytes()
        begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.hub.requests.append((self.command, f"{file} from {begin}" if begin else file))
        headers = {"ETag": f'"{_oid(path)}"', "X-Repo-Commit": self.hub.commit, "Accept-Ranges": "bytes"}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        self._say(
            206 if begin else 200,
            content[begin:],
            headers,
            self.hub.cuts.pop(file, None) if self.command == "GET" else None,
        )

    def _admitted(self) -> bool:
        return not self.hub.gated or self.headers.get("Authorization") == "Bearer right"

    def _known(self, revision: str) -> bool:
        if revision in ("main", self.hub.commit):
            return True
        self._refuse(404, "RevisionNotFound")
        return False

    def _refuse(self, status: int, code: str) -> None:
        self._say(status, b"", {"X-Error-Code": code})

    def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True


def _oid(path: Path) -> str:
    """As the Hub names files, and its cache after it: large ones by their sha256, others as git does."""
    content = path.read_bytes()
    if path.suffix == ".safetensors":
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
