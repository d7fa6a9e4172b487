"""Tokenizers made on the spot, without files: letters are tokens, so any prompt can be read and every token is known.

Pipelines pad prompts to the model's own length, so encoders do the work that they would do for real tokens.
"""

import string
from collections.abc import Iterable
from typing import Any

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
