"""Build a whole pipeline from its configurations: random weights, generated tokenizers.

Tokens are letters, so any prompt can be read. Pipelines pad prompts to the model's own length, so
encoders do the same work as for real tokens.
"""

import hashlib
import inspect
import math
import string
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

from harness.core.errors import UsageError
from harness.models._folder import Folder

LETTERS = string.ascii_letters + string.digits + string.punctuation
T5_LENGTH, GEMMA_LENGTH, GEMMA_TOKENS = 512, 300, 700


class Where(NamedTuple):
    """Device and torch dtype of the weights, and the seed to draw them with."""

    device: str
    dtype: Any
    seed: int


def make_random_network(make: Callable[[], Any], where: Where) -> Any:
    """Return the network that `make` builds, with random weights, ready for inference.

    Matrices and kernels are normal with variance 1 / inputs, biases 0 and scales of norms 1, so
    that activations stay finite in FP16. Weights are drawn in their final place and format: the
    largest models take seconds to make, and no extra memory.
    """
    import torch

    with torch.random.fork_rng(devices=[]), _without_weights():
        torch.manual_seed(where.seed)  # small tables are drawn while the network is built
        network = make()
    generator = torch.Generator(where.device).manual_seed(where.seed)
    made: dict[int, Any] = {}  # a weight that two layers share is made once
    for owner, name, weight, dtype in _weights(network, where.dtype):
        if id(weight) not in made:
            drawn = _draw(weight, name, dtype, generator) if weight.is_meta else weight
            drawn = drawn.to(where.device, dtype)
            made[id(weight)] = torch.nn.Parameter(drawn, requires_grad=False)
        owner._parameters[name] = made[id(weight)]
    for module in network.modules():
        stored = set(module._buffers) - module._non_persistent_buffers_set
        for name, buffer in module.named_buffers(recurse=False):
            converted = buffer.is_floating_point() and name in stored
            module._buffers[name] = buffer.to(where.device, where.dtype if converted else None)
    return network.eval()


def _weights(network: Any, dtype: Any) -> Iterator[tuple[Any, str, Any, Any]]:
    """Yield the layer, name, weight and dtype of each weight.

    Some layers stay in FP32 in an FP16 model, such as T5's last matrix of each block, which
    overflows.
    """
    import torch

    kept = [*(getattr(network, "_keep_in_fp32_modules_strict", None) or ())]
    if dtype == torch.float16:
        kept += getattr(network, "_keep_in_fp32_modules", None) or ()
    for path, module in network.named_modules():
        steps = set(path.split("."))
        for name, weight in module.named_parameters(recurse=False, remove_duplicate=False):
            yield module, name, weight, torch.float32 if steps & set(kept) else dtype


def _draw(weight: Any, name: str, dtype: Any, generator: Any) -> Any:
    import torch

    tensor = torch.empty(weight.shape, dtype=dtype, device=generator.device)
    if weight.ndim < 2:
        return tensor.fill_(0.0 if "bias" in name else 1.0)
    return tensor.normal_(0.0, 1 / math.sqrt(weight[0].numel()), generator=generator)


def _without_weights() -> Any:
    """Return a context in which `torch.empty`, by which layers allocate weights, takes no memory.

    Computed tensors, such as tables of positions, are real: nothing would fill them later.
    """
    return _mode()()


@cache
def _mode() -> Any:
    import torch
    from torch.overrides import TorchFunctionMode

    class EmptyIsMeta(TorchFunctionMode):
        def __torch_function__(self, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = kwargs or {}
            if func is torch.empty and given.get("device") is None:
                given = {**given, "device": "meta"}
            return func(*args, **given)

    return EmptyIsMeta


def make_clip_tokenizer(length: int) -> Any:
    """Return a CLIP tokenizer; the end token is last, as the pooled embedding expects."""
    from transformers import CLIPTokenizer

    words = (f"{letter}</w>" for letter in LETTERS)
    tokens = [*LETTERS, *words, "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=length)


def make_t5_tokenizer(length: int) -> Any:
    """Return a Unigram tokenizer like T5's."""
    from transformers import T5Tokenizer

    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces = special + [(letter, -3.0) for letter in LETTERS]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=length)


def make_gemma_tokenizer(length: int, learned: Iterable[str], size: int) -> Any:
    """Return a byte-pair tokenizer like Gemma's, with `size` tokens, trained on texts."""
    from transformers import GemmaTokenizer

    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *LETTERS]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    letters = GemmaTokenizer(vocab=vocabulary, model_max_length=length)
    return letters.train_new_from_iterator([*learned, LETTERS], vocab_size=size)


def synthesize(folder: Folder, device: str, dtype: Any, arguments: dict[str, Any]) -> Any:
    """Return the diffusers pipeline that a folder of configurations describes.

    `arguments` override components of the folder. The same folder always gives the same weights.
    """
    import diffusers

    pipeline_class = getattr(diffusers, folder.pipeline_class)
    accepted = inspect.signature(pipeline_class.__init__).parameters
    made = {}
    for name, entry in (folder.index | arguments).items():
        if name in accepted and not name.startswith("_"):
            where = Where(device, dtype, _seed(name))
            made[name] = _component(folder, name, where) if isinstance(entry, list) else entry
    pipeline = pipeline_class(**made)
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
        return make_random_network(lambda: made.from_config(config), where)
    if library != "transformers":
        raise UsageError(f"{name} is of an unknown library: {library}", str(folder.path))
    model_class = getattr(transformers, class_name)
    return make_random_network(lambda: model_class(model_class.config_class(**config)), where)


def _tokenizer(folder: Folder, name: str) -> Any:
    class_name = folder.index[name][1]
    if class_name.startswith("CLIP"):
        encoder = folder.config(name.replace("tokenizer", "text_encoder"))
        return make_clip_tokenizer(encoder["max_position_embeddings"])
    if class_name.startswith("T5"):
        return make_t5_tokenizer(T5_LENGTH)
    import diffusers

    # Sana prepends an instruction to every prompt: trained on it, this tokenizer needs about as
    # many tokens for it as Gemma's own.
    call = getattr(diffusers, folder.pipeline_class).__call__
    instruction = inspect.signature(call).parameters["complex_human_instruction"].default
    return make_gemma_tokenizer(GEMMA_LENGTH, instruction, GEMMA_TOKENS)


def _seed(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
