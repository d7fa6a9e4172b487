"""Weight files of metrics: names, sources, and where they are found; verified by sha256."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from harness.checkpoints.digest import digest_file
from harness.checkpoints.header import refuse_pointers
from harness.checkpoints.hub import DEFAULT_BRANCH, Repository, find_snapshot
from harness.core.base import Frozen
from harness.core.errors import MachineError, UsageError
from harness.core.parsing import expand_user, has_home

VARIABLE = "HARNESS_WEIGHTS"
Check = Literal["sha256", "prefix", "hub"]
"""How a file was verified: by its whole sha256; by a prefix, which is part of the file name by
PyTorch's convention; or by its name in the Hugging Face Hub's cache, which is its sha256 (of small
files git's sha1)."""


class Form(Frozen):
    """One file that contains the weights: its usual name, how it is verified, and its source.

    `sha256` is whole (64 digits) or the first 8 or more of them. It is empty only where `hub` names
    a repository of the Hugging Face Hub whose cache is searched for `file`: that cache names a file
    by its content.
    """

    file: str
    sha256: str = ""
    url: str = ""
    hub: str = ""
    origin: str = ""

    @property
    def title(self) -> str:
        """The file's name, with the repository if its name alone is ambiguous."""
        return f"{self.file} of {self.hub}" if self.only_in_hub else self.file

    @property
    def only_in_hub(self) -> bool:
        """Whether only the Hugging Face cache can verify the file."""
        return bool(self.hub) and not self.sha256

    @property
    def repository(self) -> Repository:
        """Return the repository of the Hub that has it."""
        return Repository(self.hub, DEFAULT_BRANCH)

    @property
    def source(self) -> str:
        """Where to get it."""
        return self.url or self.origin or f"https://huggingface.co/{self.hub}"


class WeightFile(Form):
    """Weights that a metric needs.

    `key` names them in `[quality.weights]`, `also` are equivalent files.
    """

    key: str
    also: tuple[Form, ...] = ()

    @property
    def public(self) -> Form:
        """The form to get if there is none: one that can be downloaded, else the first."""
        return next((form for form in self.forms if form.url), self)

    @property
    def forms(self) -> tuple[Form, ...]:
        return (self, *self.also)


class WeightLocation(Frozen):
    """A verified weight file on this machine."""

    path: Path
    sha256: str
    size_bytes: int
    check: Check


def suggest_source(wanted: WeightFile) -> str:
    """Return what to do if a file is missing."""
    form = wanted.public
    download = "Download it: harness weights MATRIX --download. Or: "
    if form.only_in_hub:
        return f"{download}hf download {form.hub} {form.file}"
    get = (
        f"et {form.file} from {form.source} into one of these places, or set {VARIABLE} to its "
        "folder."
    )
    return f"{download}g{get}" if form.url else f"G{get}"


_LARGE = 2**26
"""Size from which the Hub stores files outside git, under their sha256: 10 MB as a rule."""


def hash_files(paths: Sequence[Path]) -> str:
    """Return a file's sha256, or of several files the sha256 of theirs in order; empty for none."""
    digests = [digest_file(path) for path in paths]
    if len(digests) < 2:
        return "".join(digests)
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def find_cache_folder() -> Path:
    """Return the folder where torch stores downloaded weights (TORCH_HOME, as in torch.hub).

    Downloads go there too, where other packages find them; never into HARNESS_WEIGHTS, which may be
    a shared folder.
    """
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return expand_user(os.environ.get("TORCH_HOME") or f"{root}/torch") / "hub" / "checkpoints"


def _usual_folders() -> list[Path]:
    """Return where other packages keep weights; in the home folder only if the user has one."""
    named = os.environ.get("TORCH_HOME") or os.environ.get("XDG_CACHE_HOME")
    found = [find_cache_folder()] if named or has_home() else []
    return [*found, expand_user("~/.cache/clip")] if has_home() else found


class Weights(Frozen):
    """Where to search: `paths` of the matrix (key → path), HARNESS_WEIGHTS, the usual caches."""

    paths: dict[str, str] = {}

    @classmethod
    def of(cls, paths: Mapping[str, str]) -> "Weights":
        """Return the search paths, with the matrix's paths first."""
        return cls(paths=dict(paths))

    def places(self, wanted: WeightFile) -> tuple[Path, ...]:
        """Return the paths that are tried for a file, in order.

        A path in the matrix is the only one.
        """
        if wanted.key in self.paths:
            return (expand_user(self.paths[wanted.key]),)
        named = os.environ.get(VARIABLE)
        folders = [expand_user(named)] if named else []
        folders += _usual_folders()
        places = [folder / form.file for folder in folders for form in wanted.forms if form.sha256]
        return (*places, *(place for form in wanted.forms if (place := _hub_place(form))))

    def searched(self, wanted: WeightFile) -> tuple[str, ...]:
        """Return every place that is searched, in words."""
        hubs = (
            () if wanted.key in self.paths else tuple(form.hub for form in wanted.forms if form.hub)
        )
        own = tuple(str(path) for path in self.places(wanted))
        return own + tuple(f"the Hugging Face cache of {hub}" for hub in hubs)

    def locate(self, wanted: WeightFile) -> WeightLocation | None:
        """Return a file that was found and verified, or None if there is none.

        Raises MachineError for the first file that exists but is not the expected one: skipping it
        would hide it.
        """
        for path in self.places(wanted):
            if path.is_file():
                return _verified(path, wanted)
        return None

    def find(self, wanted: WeightFile) -> Path:
        """Return the verified path of a file.

        Raises WeightsMissing naming the file, its sha256 and every place searched, or MachineError
        for a file that is not the expected one.
        """
        if found := self.locate(wanted):
            return found.path
        pinned = [f"{form.file} (sha256 {form.sha256})" for form in wanted.forms if form.sha256]
        known = " or ".join(pinned) or wanted.title
        what = f"weights not found: {known}; searched {', '.join(self.searched(wanted))}"
        raise WeightsMissing(what, wanted, suggest_source(wanted))


class WeightsMissing(MachineError):
    """A weight file was not found; `short` is a brief reason for tables."""

    def __init__(self, what: str, wanted: WeightFile, fix: str) -> None:
        super().__init__(what, wanted.key, fix)
        self.short = f"{wanted.title} is not on this machine"


def _hub_place(form: Form) -> Path | None:
    """Return the path of a file in the Hugging Face Hub's cache; nothing is downloaded."""
    snapshot = find_snapshot(form.repository, form.file) if form.hub else None
    return snapshot / form.file if snapshot else None


def _verified(path: Path, wanted: WeightFile) -> WeightLocation:
    try:
        refuse_pointers((path,))
    except UsageError as error:
        raise MachineError(error.what, error.where, error.fix) from error
    digest = digest_file(path)
    checks = (check for form in wanted.forms if (check := _check(path, digest, form)))
    if check := next(checks, None):
        return WeightLocation(path=path, sha256=digest, size_bytes=path.stat().st_size, check=check)
    known = " or ".join(form.sha256 for form in wanted.forms if form.sha256)
    expected = (
        known
        or "what the Hugging Face cache says, and only a file in that cache can be verified so"
    )
    what = f"this is not {wanted.title}: its sha256 is {digest}, expected {expected}"
    raise MachineError(what, str(path), f"Replace it with the file from {wanted.public.source}.")


def _check(path: Path, digest: str, form: Form) -> Check | None:
    if form.sha256:
        whole = len(form.sha256) == len(digest)
        return ("sha256" if whole else "prefix") if digest.startswith(form.sha256) else None
    if path != _hub_place(form):
        return None
    return "hub" if path.resolve().name in (digest, _git_digest(path)) else None


def _git_digest(path: Path) -> str:
    """Return git's hash of a file's content, by which the Hub's cache names small files."""
    content = path.read_bytes() if path.stat().st_size < _LARGE else b""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
