"""Weight files: their names, how each is verified, and where to get it."""

from pathlib import Path
from typing import Literal

from harness.core.base import Frozen

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


def advice(wanted: WeightFile) -> str:
    """Return what to do if a file is missing."""
    form = wanted.public
    if form.only_in_hub:
        return (
            f"Download it: harness weights MATRIX --download. Or: hf download {form.hub} "
            f"{form.file}"
        )
    get = (
        f"Get {form.file} from {form.source} into one of these places, or set {VARIABLE} to its "
        "folder."
    )
    return (
        f"Download it: harness weights MATRIX --download. Or: {get[0].lower()}{get[1:]}"
        if form.url
        else get
    )
