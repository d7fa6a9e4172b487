"""Tokenizers made on the spot: letters are tokens, so any prompt can be read."""

import inspect
import string

from diffusers import SanaPipeline
from transformers import CLIPTokenizer, GemmaTokenizer, T5Tokenizer

LETTERS = string.ascii_letters + string.digits + string.punctuation
LENGTH = 24


def clip() -> CLIPTokenizer:
    """Return a CLIP tokenizer; its end token is the last one, as the pooled embedding expects."""
    tokens = [*LETTERS, *(letter + "</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=LENGTH)


def t5() -> T5Tokenizer:
    """Return a Unigram tokenizer as T5's."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((letter, -3.0) for letter in LETTERS)]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=LENGTH)


def gemma() -> GemmaTokenizer:
    """Return a byte-pair tokenizer as Gemma's; it learned Sana's long instruction, which is short in tokens then."""
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *LETTERS]
    letters = GemmaTokenizer(vocab={token: number for number, token in enumerate(tokens)}, model_max_length=LENGTH)
    default = inspect.signature(SanaPipeline.__call__).parameters["complex_human_instruction"].default
    return letters.train_new_from_iterator([*default, LETTERS], vocab_size=700)
