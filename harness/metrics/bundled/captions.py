"""The tokens of captions of the shapes world, as the bundled dual encoder reads them. No torch."""

from collections.abc import Sequence

LENGTH = 24
"""Tokens that the encoder reads of a text."""
WORDS: tuple[str, ...] = (
    "a", "on", "background", "small", "large", "red", "green", "blue", "yellow", "pink", "cyan",
    "circle", "square", "triangle", "cross", "ring", "white", "beige", "gray", "black",
    "left", "of", "right", "above", "below",
)  # fmt: skip
BYTES = 1  # ids: 0 pads, then 256 bytes, the words, start and end (open_clip reads at the largest)
START = BYTES + 256 + len(WORDS)
END = START + 1


def token_ids(text: str) -> list[int]:
    """Return the ids of a whole text: known words are one token, others their bytes."""
    known = {word: BYTES + 256 + i for i, word in enumerate(WORDS)}
    ids = [START]
    for word in text.lower().split():
        ids += [known[word]] if word in known else [BYTES + byte for byte in word.encode()]
    return [*ids, END]


def find_longer_texts(texts: Sequence[str]) -> list[str]:
    """Return the texts that have more tokens than the encoder reads."""
    return [text for text in texts if len(token_ids(text)) > LENGTH]
