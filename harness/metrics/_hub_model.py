"""Networks of the transformers library from verified local files of the Hugging Face Hub."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.core.errors import MachineError
from harness.metrics._base import device
from harness.metrics._weights import WeightFile


def load_network(kinds: tuple[Any, Any], config: Path, weights: Path, wanted: WeightFile) -> Any:
    """Return a network in float32; `kinds` are its class and that of its configuration.

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
    """Return a configuration without its precision: metrics always run in float32."""
    if not isinstance(settings, dict):
        return settings
    return {
        key: _without_dtype(value)
        for key, value in settings.items()
        if key not in ("dtype", "torch_dtype")
    }
