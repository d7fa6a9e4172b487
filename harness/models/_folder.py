"""A model folder in diffusers' layout, read without torch."""

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
    "unet|transformer|vae|scheduler|text_encoder|tokenizer|image_encoder"
    "|safety_checker|feature_extractor"
)
_FIX = "Name a folder that save_pretrained wrote: model_index.json and one folder per component."


def list_components(index: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return component → library and class, from a model_index.json.

    `null` and `[null, null]` mean a component that the pipeline works without.
    """
    listed = {k: v for k, v in index.items() if isinstance(v, list) and not k.startswith("_")}
    return {k: (str(v[0]), str(v[1])) for k, v in listed.items() if len(v) == 2 and v[0]}


class Folder:
    """The configurations of a pipeline on disk; UsageError if there are none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.index: dict[str, Any] = self._read(path / INDEX)

    @property
    def pipeline_class(self) -> str:
        return str(self.index.get("_class_name", ""))

    @property
    def components(self) -> dict[str, tuple[str, str]]:
        """Component → library and class."""
        return list_components(self.index)

    def config(self, component: str) -> dict[str, Any]:
        """Return a component's configuration; empty for a component that is absent."""
        if component not in self.components:
            return {}
        name = "scheduler_config.json" if component == "scheduler" else "config.json"
        return self._read(self.path / component / name)

    @contextmanager
    def loadable(self) -> Iterator[Path]:
        """Yield a folder that diffusers loads: this one, or links if the index says `null`.

        For an absent component, diffusers writes and reads `[null, null]` only.
        """
        nulls = {k: [None, None] for k, v in self.index.items() if v is None and _PART.match(k)}
        if not nulls:
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="harness-model-") as place:
            for path in self.path.iterdir():
                if path.name != INDEX:
                    (Path(place) / path.name).symlink_to(path.absolute())
            (Path(place) / INDEX).write_text(json.dumps(self.index | nulls), encoding="utf-8")
            yield Path(place)

    def _read(self, path: Path) -> dict[str, Any]:
        refuse_pointers((path,))
        cause: Exception | None = None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            what = f"{path.name} is not a JSON object"
        except OSError as error:
            cause, content, what = error, None, f"cannot read {path.name}: {error.strerror}"
        except ValueError as error:
            cause, content, what = error, None, f"{path.name} is not JSON: {error}"
        if not isinstance(content, dict):
            raise UsageError(what, str(path.parent), _FIX) from cause
        return content
