"""The pairs of a page: a random sample, stratified by prompt category, and attention checks."""

import secrets
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harness.core.plan import Prompt
from harness.core.review import PairKind, ReviewPair, ReviewSide

Key = tuple[str, int]
CONTROLS = ("blur:5", "jpeg:5", "noise:5", "scaling:5")
"""Damages of controls, at the level that KADID-10k calls very annoying."""
LEAST_CHECKS, PAIRS_PER_CHECK = 3, 15
TOKEN_BYTES = 6
_SIDES: tuple[ReviewSide, ReviewSide] = ("left", "right")


class Sample(NamedTuple):
    """The (prompt id, seed) of real pairs, of identical pairs and of controls."""

    pairs: tuple[Key, ...]
    identical: tuple[Key, ...]
    controls: tuple[Key, ...]


def choose_sample(keys: Sequence[Key], prompts: Sequence[Prompt], count: int, seed: int) -> Sample:
    """Return a random sample of images without replacement, as many per category as its share.

    Each prompt is used once before any is used with another seed. Checks take images that no pair
    shows, as long as there are any.
    """
    rng = np.random.default_rng(seed)
    categories = {prompt.id: prompt.category for prompt in prompts}
    strata: dict[str, list[Key]] = {}
    for key in keys:
        strata.setdefault(categories.get(key[0], ""), []).append(key)
    orders = {name: _shuffle(found, rng) for name, found in sorted(strata.items())}
    shares = _allocate({name: len(found) for name, found in orders.items()}, count)
    chosen = [key for name, order in orders.items() for key in order[: shares[name]]]
    shown = {prompt for prompt, _ in chosen}
    rest = [key for name, order in orders.items() for key in order[shares[name] :]]
    spare = sorted(_shuffle(rest, rng) + _shuffle(chosen, rng), key=lambda key: key[0] in shown)
    checks = max(LEAST_CHECKS, round(len(chosen) / PAIRS_PER_CHECK))
    taken = [spare[place % len(spare)] for place in range(2 * checks)]
    return Sample(tuple(chosen), tuple(taken[:checks]), tuple(taken[checks:]))


def _shuffle(keys: Sequence[Key], rng: np.random.Generator) -> list[Key]:
    """Return keys in random order, each prompt's second one after the first one of every prompt."""
    mixed = [keys[place] for place in rng.permutation(len(keys))]
    seen: dict[str, int] = {}
    turns = []
    for key in mixed:
        seen[key[0]] = seen.get(key[0], 0) + 1
        turns.append(seen[key[0]])
    return [key for _, key in sorted(zip(turns, mixed, strict=True), key=lambda pair: pair[0])]


def _allocate(sizes: Mapping[str, int], count: int) -> dict[str, int]:
    """Return how many of `count` each stratum gets: in proportion, largest remainders first."""
    total = sum(sizes.values())
    exact = {name: min(count, total) * size / total for name, size in sizes.items()}
    shares = {name: int(share) for name, share in exact.items()}
    left = min(count, total) - sum(shares.values())
    for name in sorted(exact, key=lambda name: shares[name] - exact[name])[:left]:
        shares[name] += 1
    return shares


def hide_sides(sample: Sample, digests: Mapping[Key, Mapping[str, str]]) -> tuple[ReviewPair, ...]:
    """Return the pairs of a page in random order, with random tokens and sides.

    Sides are balanced, half of each kind on the left. They come from the system's randomness, not
    from a seed: who knows the seed of a page must not know its sides. `digests` are the sha256 of
    each key's images by cell, of the baseline first.
    """
    mix = secrets.SystemRandom()
    found: list[ReviewPair] = []
    kinds: tuple[tuple[PairKind, tuple[Key, ...]], ...] = (
        ("pair", sample.pairs), ("identical", sample.identical), ("control", sample.controls),
    )  # fmt: skip
    for kind, keys in kinds:
        first = mix.randrange(2)
        sides = [_SIDES[(place + first) % 2] for place in range(len(keys))]
        mix.shuffle(sides)
        for place, (key, side) in enumerate(zip(keys, sides, strict=True)):
            shown = dict(digests[key])
            found.append(
                ReviewPair(
                    token=secrets.token_hex(TOKEN_BYTES),
                    kind=kind,
                    prompt_id=key[0],
                    seed=key[1],
                    marked=None if kind == "identical" else side,
                    damage=CONTROLS[place % len(CONTROLS)] if kind == "control" else "",
                    sha256=shown if kind == "pair" else dict([next(iter(shown.items()))]),
                )
            )
    mix.shuffle(found)
    return tuple(found)
