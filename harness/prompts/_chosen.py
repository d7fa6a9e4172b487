"""Choose prompts of a set: limit, order, negative prompts."""

import hashlib
from collections import Counter, defaultdict
from itertools import chain, zip_longest

from harness.core.errors import UsageError
from harness.core.matrix import Prompts
from harness.core.plan import Prompt


def choose(found: tuple[Prompt, ...], wish: Prompts) -> tuple[Prompt, ...]:
    """Return the prompts that a matrix asks for; UsageError if there are too few, none, or two of
    one id."""
    if not found:
        raise UsageError("the prompt set is empty", wish.set, "Give it at least one prompt a line.")
    ordered = _balanced(found, wish.set) if wish.order == "balanced" else found
    chosen = _negated(ordered, wish.negative)[: wish.limit or None]
    if wish.limit > len(chosen):
        raise UsageError(
            f"{wish.limit} prompts asked for, the set has {len(chosen)}",
            wish.set,
            "Lower prompts.limit.",
        )
    twice = [
        prompt_id
        for prompt_id, count in Counter(prompt.id for prompt in chosen).items()
        if count > 1
    ]
    if twice:
        fix = "Images are paired by prompt id: give each its own, or remove one."
        raise UsageError(f"the prompt {twice[0]!r} stands there twice", wish.set, fix)
    return chosen


def _balanced(prompts: tuple[Prompt, ...], where: str) -> tuple[Prompt, ...]:
    """Return the prompts with categories taking turns, so that the first N are of all kinds,
    whatever N is.

    Within a category their order is that of a hash of their ids: as good as drawn, and always the
    same.
    """
    kinds: dict[str, list[Prompt]] = defaultdict(list)
    for prompt in sorted(prompts, key=lambda prompt: hashlib.sha256(prompt.id.encode()).digest()):
        kinds[prompt.category].append(prompt)
    if set(kinds) == {""}:
        raise UsageError(
            "prompts.order = balanced needs categories",
            where,
            "Its prompts name none: use order = file.",
        )
    turns = zip_longest(*(kinds[kind] for kind in sorted(kinds)))
    return tuple(prompt for prompt in chain.from_iterable(turns) if prompt is not None)


def _negated(prompts: tuple[Prompt, ...], negative: str) -> tuple[Prompt, ...]:
    """Return the prompts with their negative prompts, `negative` for those without one of their
    own.

    All of a set have one, if only the empty text, or none has: to some models the two are not the
    same, and an image must not depend on which others are in its batch.
    """
    if not negative and all(prompt.negative is None for prompt in prompts):
        return prompts
    return tuple(
        prompt.model_copy(update={"negative": prompt.negative or negative}) for prompt in prompts
    )
