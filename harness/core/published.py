"""Files of the Hugging Face Hub that cells read besides their model."""

from typing import NamedTuple

from harness.core.base import Frozen


class HubFile(NamedTuple):
    """A file that is wanted of the repository `owner/name`, by any of `names`: the first is the one to get."""

    repo: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.names[0]} of huggingface.co/{self.repo}"


class PublishedFile(Frozen):
    """A file that the Hub has and that is fetched before the first cell."""

    repo: str
    file: str
    size_bytes: int
