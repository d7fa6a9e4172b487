"""Lone files of the Hub, such as a LoRA: does it have them, how large are they, and fetching them."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from harness.core.errors import MachineError, UsageError
from harness.core.published import HubFile, PublishedFile
from harness.models._hub import Repository, UnreachableError, check_room, fetch_files, list_repository

_BRANCH = "main"
"""Where the cache is looked into for a lone file."""
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_SHOWN = 4


def ask_hub(wanted: Iterable[HubFile]) -> dict[HubFile, PublishedFile | str]:
    """Return what the Hub has of each file, or in words why it cannot be had.

    A repository is asked about once; where the Hub gives no answer, it is not asked about the others.
    """
    answers: dict[HubFile, PublishedFile | str] = {}
    silent = ""
    for repo, files in groupby(sorted(set(wanted)), key=lambda file: file.repo):
        asked = tuple(files)
        try:
            answers |= {} if silent else _ask(repo, asked)
        except UnreachableError as error:
            silent = str(error)
        answers |= {file: _how_to_get(file, silent) for file in asked if silent}
    return answers


def fetch_published(files: Sequence[PublishedFile]) -> None:
    """Bring files into the cache.

    Raises UsageError for files that may not be read, and MachineError where they do not fit or the download breaks off.
    """
    by_repo = groupby(sorted(files, key=lambda file: file.repo), key=lambda file: file.repo)
    wanted = {repo: tuple(of_repo) for repo, of_repo in by_repo}
    check_room(sum(file.size_bytes for file in files), ", ".join(wanted))
    for repo, of_repo in wanted.items():
        names = [file.file for file in of_repo]
        why = "the Hugging Face Hub no longer answers"
        try:
            folder = fetch_files(Repository(repo, _BRANCH), names)
            lacking = [name for name in names if not (folder / name).is_file()]
        except UnreachableError as error:
            why, lacking = str(error), names
        if lacking:  # huggingface_hub is content with an older snapshot where it finds no network
            fix = "The same command goes on from here: files that are whole are kept."
            raise MachineError(f"the download of {', '.join(lacking)} broke off: {why}", f"huggingface.co/{repo}", fix)


def is_offline() -> bool:
    """Return whether HF_HUB_OFFLINE is set."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _ask(repo: str, files: Sequence[HubFile]) -> dict[HubFile, PublishedFile | str]:
    try:
        listing = list_repository(Repository(repo, _BRANCH), check_access=True)
    except UsageError as error:
        return dict.fromkeys(files, f"huggingface.co/{repo}: {error.what}. {error.fix}")
    return {file: _published(file, listing) for file in files}


def _published(file: HubFile, listing: Mapping[str, int]) -> PublishedFile | str:
    found = next((name for name in file.names if name in listing), None)
    if found is not None:
        return PublishedFile(repo=file.repo, file=found, size_bytes=listing[found])
    others = [name for name in listing if name.endswith(_WEIGHTS)]
    more = ", …" if len(others) > _SHOWN else ""
    has = f"it has {', '.join(others[:_SHOWN])}{more}" if others else "it holds no weights"
    return f"huggingface.co/{file.repo} has no {' or '.join(file.names)}; {has}: name one with weights and weight_name"


def _how_to_get(file: HubFile, why: str) -> str:
    command = f"hf download {file.repo} {file.names[0]}"
    return f"{file} is not in the Hugging Face cache, and {why}: get it with `{command}`, or name a file with weights"
