"""Networks of the transformers library, made from verified files of the Hugging Face Hub; nothing is ever fetched."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.core.errors import MachineError
from harness.metrics._devices import device
from harness.metrics._weight_file import WeightFile
from harness.metrics._weights import hash_file


def hash_files(paths: Sequence[Path]) -> str:
    """Return one sha256 for several files: that of their sha256 in their order."""
    return hashlib.sha256("".join(hash_file(path) for path in paths).encode()).hexdigest()


def load_network(kinds: tuple[Any, Any], config: Path, weights: Path, wanted: WeightFile) -> Any:
    """Return a network (its class and that of its configuration are `kinds`) in float32, ready to look.

    Raises MachineError for files that are not of this architecture or do not belong together.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    network, configuration = kinds
    try:
        settings = _without_dtype(json.loads(config.read_bytes()))
        if settings["model_type"] != configuration.model_type:
            raise ValueError(f"{config} describes the architecture {settings['model_type']}")
        with _without_progress_bar():
            net, report = network.from_pretrained(
                None,
                config=configuration.from_dict(settings),
                state_dict=load_file(weights),
                output_loading_info=True,
            )
        if missing := report["missing_keys"]:
            raise ValueError(f"{len(missing)} tensors are missing, such as {min(missing)}")
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        what = f"this is no checkpoint of {configuration.model_type}: {error}"
        raise MachineError(what, str(weights), f"Get it anew from {wanted.source}.") from error
    return net.float().to(device()).eval().requires_grad_(False)


@contextmanager
def _without_progress_bar() -> Iterator[None]:
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _without_dtype(settings: Any) -> Any:
    """Return a configuration that does not say in which precision to run: metrics always take float32."""
    if not isinstance(settings, dict):
        return settings
    return {key: _without_dtype(value) for key, value in settings.items() if key not in ("dtype", "torch_dtype")}
