"""What is said where files of the hub are lacking and it cannot be asked: which they are, and how to get them."""

from collections.abc import Sequence

from harness.core.errors import MachineError
from harness.models._configurations import configuration_folder, configurations
from harness.models._folder import INDEX, Folder
from harness.models._hub import Repository, cache_folder
from harness.models._layout import lacking_files, wanted_of

_IN_WHOLE_FILES = ("sd15", "sdxl-base", "sdxl-turbo")
"""Configurations that ship whose models are published with one file of weights per part, and as fp16."""


def missing_files(repository: Repository, variant: str, lacking: Sequence[str], why: str) -> MachineError:
    """Return the error that names every file that is known to be missing, and the command that gets them.

    `lacking` is empty where nothing is here, so that only famous models' files are known by name.
    """
    everything = not lacking
    files = lacking or _published_files(repository.id, variant)
    what = "none of its files are" if everything else f"{len(files)} of its files are not"
    what += f" in the Hugging Face cache ({cache_folder()}), and {why}"
    what += "".join(f"\n  {file}" for file in files)
    if everything and not repository.pinned:
        what += f"\nA folder was meant? None is called {repository.id} here."
    command = f"hf download {repository.id} {' '.join(files) or _patterns(variant)}"
    command += f" --revision {repository.revision}" if repository.revision != "main" else ""
    fix = (
        f"With a network: {command}\nOr copy the cache of a machine that has it here, or name its folder with HF_HOME."
    )
    return MachineError(what, f"model {repository}", fix)


def _published_files(repository_id: str, variant: str) -> list[str]:
    names = [name for name in _IN_WHOLE_FILES if configurations()[name].id == repository_id]
    if not names or variant not in ("", "fp16"):
        return []
    folder = Folder(configuration_folder(names[0]))
    return [INDEX, *lacking_files(folder.path / "nothing", wanted_of(folder, variant))]


def _patterns(variant: str) -> str:
    weights = f"*/*.{variant}*safetensors" if variant else "*/*.safetensors"
    included = " ".join(f"--include '{pattern}'" for pattern in ("*.json", "*.txt", "*.model", weights))
    return included if variant else f"{included} --exclude '*.fp16*'"
