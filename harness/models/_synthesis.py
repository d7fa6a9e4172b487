"""A whole pipeline from its configurations alone: random weights, tokenizers made on the spot."""

import hashlib
import inspect
from typing import Any

from harness.core.errors import UsageError
from harness.models._folder import Folder
from harness.models._random_weights import Where, random_network
from harness.models._tokenizers import clip_tokenizer, gemma_tokenizer, t5_tokenizer

T5_LENGTH, GEMMA_LENGTH, GEMMA_TOKENS = 512, 300, 700


def synthesize(folder: Folder, device: str, dtype: Any, arguments: dict[str, Any]) -> Any:
    """Return the diffusers pipeline that a folder of configurations describes, on a device, in a torch dtype.

    `arguments` take the place of what the folder says. The same folder gives the same weights each time.
    """
    import diffusers

    pipeline_class = getattr(diffusers, folder.pipeline_class)
    given = {name: entry for name, entry in folder.index.items() if not name.startswith("_")} | arguments
    made = {
        name: _component(folder, name, Where(device, dtype, _seed(name))) if isinstance(entry, list) else entry
        for name, entry in given.items()
    }
    accepted = inspect.signature(pipeline_class.__init__).parameters
    pipeline = pipeline_class(**{name: part for name, part in made.items() if name in accepted})
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _component(folder: Folder, name: str, where: Where) -> Any:
    library, class_name = folder.index[name]
    if library is None:
        return None
    if "Tokenizer" in class_name:
        return _tokenizer(folder, name)
    import diffusers
    import transformers

    config = folder.config(name)
    if library == "diffusers":
        made = getattr(diffusers, class_name)
        if name == "scheduler":
            return made.from_config(config)
        return random_network(lambda: made.from_config(config), where)
    if library != "transformers":
        raise UsageError(f"{name} is of an unknown library: {library}", str(folder.path))
    model_class = getattr(transformers, class_name)
    return random_network(lambda: model_class(model_class.config_class(**config)), where)


def _tokenizer(folder: Folder, name: str) -> Any:
    class_name = folder.index[name][1]
    if class_name.startswith("CLIP"):
        encoder = folder.config(name.replace("tokenizer", "text_encoder"))
        return clip_tokenizer(encoder["max_position_embeddings"])
    if class_name.startswith("T5"):
        return t5_tokenizer(T5_LENGTH)
    import diffusers

    # Sana puts an instruction before every prompt; learned, it is about as long in tokens as it is in Gemma's own.
    call = getattr(diffusers, folder.pipeline_class).__call__
    instruction = inspect.signature(call).parameters["complex_human_instruction"].default
    return gemma_tokenizer(GEMMA_LENGTH, instruction, GEMMA_TOKENS)


def _seed(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
