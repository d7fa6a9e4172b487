"""A whole pipeline from its configurations alone: random weights, tokenizers made on the spot."""

import hashlib
import inspect
import math
import string
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

from harness.core.errors import UsageError
from harness.models._folder import Folder


class Where(NamedTuple):
    """The device and the torch dtype that weights are made in, and a seed of their own."""

    device: str
    dtype: Any
    seed: int


def random_network(make: Callable[[], Any], where: Where) -> Any:
    """Return the network that `make` builds, its weights drawn anew on the device, ready for inference.

    Matrices and kernels are normal with variance 1 / inputs, which keeps the size of what flows through; biases are 0
    and scales of norms 1. So activations stay finite in FP16 too, and no weight is ever held in another place or
    format: the largest models are made in seconds, within the memory that they need anyway.
    """
    import torch

    with torch.random.fork_rng(devices=[]), _without_weights():
        torch.manual_seed(where.seed)  # small tables are drawn while the network is built
        network = make()
    generator = torch.Generator(where.device).manual_seed(where.seed)
    made: dict[int, Any] = {}  # a weight that two layers share is made once
    for owner, name, weight, dtype in _weights(network, where.dtype):
        if id(weight) not in made:
            tensor = _drawn(weight, name, dtype, generator) if weight.is_meta else weight.to(where.device, dtype)
            made[id(weight)] = torch.nn.Parameter(tensor, requires_grad=False)
        owner._parameters[name] = made[id(weight)]
    for module in network.modules():
        for name, buffer in module.named_buffers(recurse=False):
            dtype = where.dtype if buffer.is_floating_point() and name in _kept_buffers(network, module) else None
            module._buffers[name] = buffer.to(where.device, dtype)
    return network.eval()


def _weights(network: Any, dtype: Any) -> Iterator[tuple[Any, str, Any, Any]]:
    """Yield each weight with the layer and name it stands under, and the format it is loaded in.

    Some layers stay in FP32 where the rest is FP16, such as T5's last matrix of each block, which overflows.
    """
    import torch

    kept = [*(getattr(network, "_keep_in_fp32_modules_strict", None) or ())]
    if dtype == torch.float16:
        kept += getattr(network, "_keep_in_fp32_modules", None) or ()
    for path, module in network.named_modules():
        steps = set(path.split("."))
        for name, weight in module.named_parameters(recurse=False, remove_duplicate=False):
            yield module, name, weight, torch.float32 if steps & set(kept) else dtype


def _kept_buffers(network: Any, module: Any) -> set[str]:
    """Return the names of a module's buffers that are stored with a model and so are loaded in its format."""
    return set(module._buffers) - module._non_persistent_buffers_set


def _drawn(weight: Any, name: str, dtype: Any, generator: Any) -> Any:
    import torch

    tensor = torch.empty(weight.shape, dtype=dtype, device=generator.device)
    if weight.ndim < 2:
        return tensor.fill_(0.0 if "bias" in name else 1.0)
    return tensor.normal_(0.0, 1 / math.sqrt(weight[0].numel()), generator=generator)


def _without_weights() -> Any:
    """Return a context in which `torch.empty`, with which layers get their weights, takes no memory.

    What is computed, such as tables of positions, is real: it is no weight, and nothing would fill it later.
    """
    return _mode()()


@cache
def _mode() -> Any:
    import torch
    from torch.overrides import TorchFunctionMode

    class EmptyIsMeta(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = kwargs or {}
            if func is torch.empty and given.get("device") is None:
                given = {**given, "device": "meta"}
            return func(*args, **given)

    return EmptyIsMeta


LETTERS = string.ascii_letters + string.digits + string.punctuation


def clip_tokenizer(length: int) -> Any:
    """Return a CLIP tokenizer for `length` tokens; its end token is the last one, as the pooled embedding expects."""
    from transformers import CLIPTokenizer

    tokens = [*LETTERS, *(letter + "</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=length)


def t5_tokenizer(length: int) -> Any:
    """Return a Unigram tokenizer as T5's."""
    from transformers import T5Tokenizer

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((letter, -3.0) for letter in LETTERS)]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=length)


def gemma_tokenizer(length: int, learned: Iterable[str], size: int) -> Any:
    """Return a byte-pair tokenizer as Gemma's, of `size` tokens; the texts it learned are short in it."""
    from transformers import GemmaTokenizer

    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *LETTERS]
    letters = GemmaTokenizer(vocab={token: number for number, token in enumerate(tokens)}, model_max_length=length)
    return letters.train_new_from_iterator([*learned, LETTERS], vocab_size=size)


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
