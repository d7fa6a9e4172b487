"""What a weight file is: the names it goes by, what each is verified by, and where a person gets it."""

import os
from pathlib import Path
from typing import Literal

from harness.core.base import Frozen

VARIABLE = "HARNESS_WEIGHTS"
Check = Literal["sha256", "prefix", "hub"]
"""How a file was verified: by its whole sha256; by the first digits, which the file name carries by PyTorch's
convention; or by the name that the Hugging Face Hub gives a file in its cache, which is its sha256 (of small files
the sha1 that git gives them)."""


class Form(Frozen):
    """One file that holds the weights: its usual name, what it is verified by, and where it comes from.

    `sha256` is whole (64 digits) or the first 8 or more of them. It is empty only where `hub` names a repository of
    the Hugging Face Hub whose cache is searched for `file`: that cache names a file by its content.
    """

    file: str
    sha256: str = ""
    url: str = ""
    hub: str = ""
    origin: str = ""

    @property
    def title(self) -> str:
        """Its name where several files are told apart; a repository's files have everyday names."""
        return f"{self.file} of {self.hub}" if self.only_in_hub else self.file

    @property
    def only_in_hub(self) -> bool:
        """Whether nothing but the Hugging Face cache can say that a file is the one."""
        return bool(self.hub) and not self.sha256

    @property
    def source(self) -> str:
        """Where a person gets it."""
        return self.url or self.origin or f"https://huggingface.co/{self.hub}"


class WeightFile(Form):
    """Weights that a metric needs: `key` names them in `[quality.weights]`, `also` are other files that hold them."""

    key: str
    also: tuple[Form, ...] = ()

    @property
    def public(self) -> Form:
        """The form to get where there is none: one that can be downloaded, else the first."""
        return next((form for form in self.forms if form.url), self)

    @property
    def forms(self) -> tuple[Form, ...]:
        return (self, *self.also)


class WeightLocation(Frozen):
    """A weight file on this machine that was verified."""

    path: Path
    sha256: str
    size_bytes: int
    check: Check


def advice(wanted: WeightFile) -> str:
    """Return what to do where a file is absent."""
    form = wanted.public
    if form.only_in_hub:
        return f"Download it: harness weights MATRIX --download. Or: hf download {form.hub} {form.file}"
    get = f"Get {form.file} from {form.source} into one of these places, or set {VARIABLE} to its folder."
    return f"Download it: harness weights MATRIX --download. Or: {get[0].lower()}{get[1:]}" if form.url else get


def expanded(path: str) -> Path:
    """Return a path with the home folder in the place of ~, which stays where a user has no home."""
    return Path(os.path.expanduser(path))
