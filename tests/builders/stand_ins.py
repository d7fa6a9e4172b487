"""Weight files with random numbers in the real architecture, for weights that cannot be had on a test machine.

Models of the transformers library are made small by their configuration, which is one of their files; what they are
fed (the side of images, the tokenizer's special tokens) is as in the real ones.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.metrics._weights import WeightFile


def stand_in(path: Path, state: dict[str, Any], key: str) -> WeightFile:
    """Write a checkpoint and return the description under which the metrics accept it."""
    import torch

    torch.save(state, path)
    return described(path, key)


def described(path: Path, key: str) -> WeightFile:
    """The description of a file that is there: its own sha256."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return WeightFile(key=key, file=path.name, sha256=digest, origin="a test")


def _torchvision(architecture: str) -> dict[str, Any]:
    from torchvision import models

    extra = {"aux_logits": False, "init_weights": False} if architecture == "inception_v3" else {}
    state: dict[str, Any] = models.get_model(architecture, weights=None, **extra).state_dict()
    return state


def _vit_b32() -> dict[str, Any]:
    import open_clip

    state: dict[str, Any] = open_clip.CLIP(**open_clip.get_model_config("ViT-B-32-quickgelu")).state_dict()
    return state


RANDOM: dict[str, Callable[[], dict[str, Any]]] = {
    "inception": lambda: _torchvision("inception_v3"),
    "alexnet": lambda: _torchvision("alexnet"),
    "vgg16": lambda: _torchvision("vgg16"),
    "clip": _vit_b32,
}
"""Key of a weight file → random numbers for it; ViT-L/14 at 336 pixels is not among them: it takes gigabytes."""


OWLV2 = {
    "architectures": ["Owlv2ForObjectDetection"], "model_type": "owlv2", "torch_dtype": "float32", "projection_dim": 32,
    "text_config": {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "model_type": "owlv2_text_model",
    },
    "vision_config": {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "model_type": "owlv2_vision_model", "image_size": 960, "patch_size": 16,
    },
}  # fmt: skip
SMOLVLM = {
    "architectures": ["Idefics3ForConditionalGeneration"], "model_type": "idefics3", "torch_dtype": "bfloat16",
    "image_token_id": 4, "scale_factor": 4, "pad_token_id": 128002, "tie_word_embeddings": False,
    "text_config": {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "vocab_size": 320, "model_type": "llama", "torch_dtype": "bfloat16",
        "pad_token_id": 2, "rms_norm_eps": 1e-5, "rope_theta": 100000, "is_llama_config": True,
    },
    "vision_config": {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "model_type": "idefics3", "image_size": 512, "patch_size": 16, "max_image_size": {"longest_edge": 512},
        "size": {"longest_edge": 2048}, "use_base_siglip": False,
    },
}  # fmt: skip
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<fake_token_around_image>", "<image>", "<global-img>")


def _write_random(architecture: str, settings: dict[str, Any], path: Path) -> None:
    """Write a checkpoint as the Hub has it: bfloat16 where its configuration says so."""
    import torch
    import transformers
    from safetensors.torch import save_file

    made = getattr(transformers, architecture)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = made(made.config_class.from_dict(settings))
        state = {
            name: torch.randn(tensor.shape) * 0.3 if tensor.dim() > 1 else tensor.clone()
            for name, tensor in net.state_dict().items()
        }
    kind = torch.bfloat16 if settings["torch_dtype"] == "bfloat16" else torch.float32
    save_file({name: tensor.to(kind).contiguous() for name, tensor in state.items()}, path)


def _write_tokenizer(path: Path) -> None:
    """Write a byte-level tokenizer that knows the answers as one token each, and SmolVLM's special tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    merges = [("Ġ", "Y"), ("ĠY", "e"), ("ĠYe", "s"), ("Ġ", "N"), ("ĠN", "o")]
    known = [*_SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in merges)]
    words = Tokenizer(models.BPE({token: i for i, token in enumerate(known)}, merges))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    words.add_special_tokens([AddedToken(token, special=True) for token in (*_SPECIAL, "<end_of_utterance>")])
    words.save(str(path))


HUB: dict[str, Callable[[Path], object]] = {
    "owlv2-config": lambda path: path.write_text(json.dumps(OWLV2)),
    "owlv2": lambda path: _write_random("Owlv2ForObjectDetection", OWLV2, path),
    "smolvlm-config": lambda path: path.write_text(json.dumps(SMOLVLM)),
    "smolvlm-tokenizer": _write_tokenizer,
    "smolvlm": lambda path: _write_random("Idefics3ForConditionalGeneration", SMOLVLM, path),
}
"""Key of a file of the Hugging Face Hub → what writes one that belongs to the others of its model."""


def make(path: Path, key: str) -> bool:
    """Write a file with random numbers for a key, if there is a way to."""
    if key in HUB:
        HUB[key](path)
    elif key in RANDOM:
        stand_in(path, RANDOM[key](), key)
    return key in HUB or key in RANDOM


def into_hub_cache(cache: Path, wanted: WeightFile) -> Path:
    """Make up a file in a Hugging Face cache as the Hub's client leaves it, and return where it is found."""
    repository, commit = cache / f"models--{wanted.hub.replace('/', '--')}", "0" * 40
    snapshot = repository / "snapshots" / commit
    for folder in (repository / "blobs", repository / "refs", snapshot):
        folder.mkdir(parents=True, exist_ok=True)
    (repository / "refs" / "main").write_text(commit)
    new = repository / "blobs" / "new"
    assert make(new, wanted.key)
    content = new.read_bytes()
    small = not wanted.file.endswith(".safetensors")
    name = hashlib.sha1(b"blob %d\0" % len(content) + content) if small else hashlib.sha256(content)
    blob = new.rename(repository / "blobs" / name.hexdigest())
    (snapshot / wanted.file).symlink_to(blob)
    return snapshot / wanted.file
