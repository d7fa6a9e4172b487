"""Human review: the pairs of one page with their hidden sides, and the answers of one rater."""

import hashlib
from collections import Counter
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from harness.core.base import Frozen
from harness.core.units import plural

REVIEW_VERSION = 1
"""Version of pages, keys and answers."""
ReviewSide = Literal["left", "right"]
Choice = Literal["left", "right", "tie"]
PairKind = Literal["pair", "identical", "control"]
Count = Annotated[int, Field(ge=0)]
Rater = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^\S(.*\S)?$")]
PageId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]


class ReviewPair(Frozen):
    """Two images of one prompt and seed; `token` names them in the page and in answers.

    A `pair` is candidate and baseline. Attention checks are `identical` (the same image twice) and
    `control` (the baseline's image and a damaged copy).
    """

    token: str
    kind: PairKind
    prompt_id: str
    seed: int
    marked: ReviewSide | None
    """The side of the candidate, or of a control's intact image; None if both are the same."""
    damage: str = ""
    """The damage of a control, such as `blur:5`."""
    sha256: dict[str, str]
    """Cell id → sha256 of the run's image that was shown."""


class ReviewKey(Frozen):
    """Which side of a page's pairs is the candidate: stored in the run, never in the page."""

    version: int = REVIEW_VERSION
    page: PageId
    run_id: str
    cell_id: str
    seed: int
    """Of the random choice of pairs; sides and order are random without a seed."""
    created: str
    encoding: str
    pairs: tuple[ReviewPair, ...]

    @property
    def run(self) -> str:
        """The digest of the run's id, by which pages name it: names may hint at cells."""
        return hashlib.sha256(self.run_id.encode()).hexdigest()[:12]

    def list_problems(self, given: "ReviewAnswers") -> list[str]:
        """Return why answers are not a complete and unchanged set of answers to this page."""
        known, counts = {p.token for p in self.pairs}, Counter(a.pair for a in given.answers)
        found = {
            "answered twice": [token for token, count in counts.items() if count > 1],
            "not on the page": [token for token in counts if token not in known],
            "without an answer": [p.token for p in self.pairs if p.token not in counts],
            "with one broken side named twice": [
                a.pair for a in given.answers if len(set(a.broken)) < len(a.broken)
            ],
        }
        problems = [
            f"{plural(len(tokens), 'pair')} {what}, such as {', '.join(tokens[:3])}"
            for what, tokens in found.items()
            if tokens
        ]
        changed = given.checksum != given.compute_checksum()
        return problems + (["changed after the export: its checksum differs"] if changed else [])


class ReviewAnswer(Frozen):
    """One answer: the better side, broken images, and the milliseconds it took."""

    pair: str
    choice: Choice
    broken: tuple[ReviewSide, ...] = ()
    ms: Count


class ReviewAnswers(Frozen):
    """The answers of one rater to one page, as the page exports them."""

    kind: Literal["harness review answers"]
    version: int
    run: str
    """The digest of the run's id."""
    page: PageId
    rater: Rater
    started: str
    finished: str
    answers: tuple[ReviewAnswer, ...]
    checksum: str

    def compute_checksum(self) -> str:
        """Return the checksum of the content, as the page computes it: FNV-1a of 64 bits.

        It finds accidental edits; it is no signature.
        """
        rows = (f"{a.pair},{a.choice},{'+'.join(a.broken)},{a.ms}" for a in self.answers)
        head = (str(self.version), self.run, self.page, self.rater, self.started, self.finished)
        value = 0xCBF29CE484222325
        for byte in "\n".join((*head, *rows)).encode():
            value = (value ^ byte) * 0x100000001B3 % 2**64
        return f"{value:016x}"


class Review(Frozen):
    """One page's key with the answers to it."""

    key: ReviewKey
    answers: tuple[ReviewAnswers, ...]
