"""A model's folder in diffusers' layout, read without torch: its configurations and what its files hold."""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.checkpoints.header import refuse_pointers
from harness.core.errors import UsageError

INDEX = "model_index.json"
_PART = re.compile(
    "unet|transformer|vae|scheduler|text_encoder|tokenizer|image_encoder|safety_checker|feature_extractor"
)


def list_components(index: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the parts that a model_index.json names, each with the library and the class that reads it.

    A part that is `null` or `[null, null]` is one that the pipeline does without.
    """
    listed = {name: part for name, part in index.items() if isinstance(part, list) and not name.startswith("_")}
    return {name: (str(part[0]), str(part[1])) for name, part in listed.items() if len(part) == 2 and part[0]}


class Folder:
    """The configurations of a pipeline on disk; UsageError where there is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.index: dict[str, Any] = self._read(path / INDEX)

    @property
    def pipeline_class(self) -> str:
        return str(self.index.get("_class_name", ""))

    @property
    def components(self) -> dict[str, tuple[str, str]]:
        """The parts that the pipeline has, each with the library and the class that reads it."""
        return list_components(self.index)

    def config(self, component: str) -> dict[str, Any]:
        """Return a component's configuration; empty for one that is not there."""
        if component not in self.components:
            return {}
        name = "scheduler_config.json" if component == "scheduler" else "config.json"
        return self._read(self.path / component / name)

    @contextmanager
    def loadable(self) -> Iterator[Path]:
        """Give a folder that diffusers loads: this one, or links to its parts where a part is `null`.

        diffusers writes `[null, null]` for a part that is not there, and reads nothing else.
        """
        nothing = {name: [None, None] for name, part in self.index.items() if part is None and _PART.match(name)}
        if not nothing:
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="harness-model-") as place:
            for path in self.path.iterdir():
                if path.name != INDEX:
                    (Path(place) / path.name).symlink_to(path.absolute())
            (Path(place) / INDEX).write_text(json.dumps(self.index | nothing), encoding="utf-8")
            yield Path(place)

    def _read(self, path: Path) -> dict[str, Any]:
        refuse_pointers((path,))
        fix = "Name a folder that save_pretrained wrote: it holds model_index.json and one folder per component."
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"cannot read {path.name}: {error.strerror}", str(path.parent), fix) from error
        except ValueError as error:
            raise UsageError(f"{path.name} is not JSON: {error}", str(path.parent), fix) from error
        if not isinstance(content, dict):
            raise UsageError(f"{path.name} is not a JSON object", str(path.parent), fix)
        return content
