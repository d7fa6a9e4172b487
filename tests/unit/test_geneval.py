"""GenEval's prompts are read whole or refused, and its rules hold on boxes that are made up."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from harness.metrics import get_metric
from harness.metrics._geneval import (
    COLOURS,
    MOST,
    OBJECTS,
    Asked,
    DetectedBox,
    WantedObject,
    compute_overlap,
    find_positions,
    parse,
    remove_duplicates,
    shows,
)

PROMPTS = os.environ.get("HARNESS_TEST_PROMPTS", "")


@pytest.mark.skipif(not PROMPTS, reason="HARNESS_TEST_PROMPTS is not set: no published prompt sets here")
def test_all_published_prompts_are_read() -> None:
    texts = (Path(PROMPTS) / "geneval.txt").read_text().splitlines()
    asked = [parse(text) for text in texts]
    assert len(asked) == 553
    assert Counter(kind(one) for one in asked) == {
        "object": 80, "two objects": 99, "counting": 80, "colour": 94, "position": 100, "colour attribution": 100,
    }  # fmt: skip
    assert {one.objects[0].name for one in asked[:80]} == set(OBJECTS)
    assert {thing.colour for one in asked for thing in one.objects} == {"", *COLOURS}
    assert {one.number for one in asked} == {0, 2, 3, 4}
    assert {one.relation for one in asked} == {"", "left of", "right of", "above", "below"}
    assert [written(one) for one in asked] == [
        text.removeprefix("a photo of ").replace(" an ", " a ").removeprefix("an ").removeprefix("a ") for text in texts
    ]


def kind(asked: Asked) -> str:
    """The task that GenEval files a prompt under."""
    if asked.number:
        return "counting"
    if asked.relation:
        return "position"
    if len(asked.objects) == 1:
        return "colour" if asked.objects[0].colour else "object"
    return "colour attribution" if asked.objects[0].colour else "two objects"


def written(asked: Asked) -> str:
    """A prompt made of what was read, with the article `a` everywhere: nothing of it may have been lost."""
    things = [" ".join(filter(None, (thing.colour, thing.name))) for thing in asked.objects]
    if asked.number:
        return f"{['two', 'three', 'four'][asked.number - 2]} {things[0]}{'es' if things[0][-1] == 's' else 's'}"
    return f" {asked.relation or 'and'} a ".join(things)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("a photo of an orange", Asked((WantedObject("orange"),))),
        ("a photo of an orange orange", Asked((WantedObject("orange", "orange"),))),
        ("a photo of two benchs", Asked((WantedObject("bench"),), number=2)),
        ("a photo of four tv remotes", Asked((WantedObject("tv remote"),), number=4)),
        ("a photo of a tv and a tv remote", Asked((WantedObject("tv"), WantedObject("tv remote")))),
        (
            "a photo of a hot dog right of a dog",
            Asked((WantedObject("hot dog"), WantedObject("dog")), relation="right of"),
        ),
        ("a photo of a red cup and an orange cow", Asked((WantedObject("cup", "red"), WantedObject("cow", "orange")))),
    ],
)
def test_each_pattern_is_read(text: str, asked: Asked) -> None:
    assert parse(text) == asked
    assert get_metric("geneval").refusal(text) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a prompt of GenEval's patterns"),
        ("a photo of a unicorn", "not a prompt of GenEval's patterns"),
        ("A photo of a dog", "not a prompt of GenEval's patterns"),
        ("a photo of a dog in a park", "not a prompt of GenEval's patterns"),
        ("a photo of a dog and a cat and a cow", "not a prompt of GenEval's patterns"),
        ("a photo of a dog  and a cat", "not a prompt of GenEval's patterns"),
        ("a photo of dog", "not a prompt of GenEval's patterns"),
        ("a photo of five dogs", "not a prompt of GenEval's patterns"),
        ("a photo of two dog", "not a prompt of GenEval's patterns"),
        ("a photo of two red dogs", "not a prompt of GenEval's patterns"),
        ("a photo of a turquoise dog", "not a prompt of GenEval's patterns"),
        ("a photo of a dog next to a cat", "not a prompt of GenEval's patterns"),
        ("a photo of a orange cow", "writes 'an orange cow', not 'a orange cow'"),
        ("a photo of an dog", "writes 'a dog', not 'an dog'"),
        ("a photo of a dog and a dog", "two different objects"),
        ("a photo of a white person", "no colour of persons"),
        ("a photo of a red dog and a cat", "the colour of both objects or of none"),
        ("a photo of a dog and a red cat", "the colour of both objects or of none"),
        ("a photo of a red dog and a red cat", "two different colours"),
        ("a photo of a red dog above a cat", "not for both"),
    ],
)
def test_other_prompts_are_refused_with_the_reason(text: str, reason: str) -> None:
    assert reason in get_metric("geneval").refusal(text)


def box(score: float, left: float, top: float, side: float = 10) -> DetectedBox:
    return DetectedBox(score, left, top, left + side, top + side)


def right(
    text: str, objects: Mapping[str, Sequence[DetectedBox]], colours: Mapping[DetectedBox, str] | None = None
) -> bool:
    """Whether boxes show a prompt; a box that is not in `colours` must not be asked for its colour."""
    return shows(parse(text), objects, lambda name, box: (colours or {})[box])


def test_an_object_is_there_or_not() -> None:
    assert right("a photo of a dog", {"dog": [box(0.31, 0, 0)], "cat": [box(0.9, 0, 0)]})
    assert not right("a photo of a dog", {"cat": [box(0.9, 0, 0)]})
    assert not right("a photo of a dog", {"dog": []})


def test_both_objects_must_be_there() -> None:
    both = {"dog": [box(0.5, 0, 0)], "cat": [box(0.5, 50, 0)]}
    assert right("a photo of a dog and a cat", both)
    assert not right("a photo of a dog and a cow", both)


def test_counting_is_exact_and_has_its_own_score() -> None:
    sure, faint = [box(0.9, 0, 0), box(0.5, 50, 0)], box(0.35, 90, 0)
    assert right("a photo of two dogs", {"dog": sure})
    assert right("a photo of two dogs", {"dog": [*sure, faint]})
    assert not right("a photo of three dogs", {"dog": [*sure, faint]})
    assert not right("a photo of two dogs", {"dog": [*sure, box(0.41, 90, 0)]})
    assert not right("a photo of two dogs", {"cat": sure})


def test_boxes_of_one_object_count_once() -> None:
    assert compute_overlap(box(1, 0, 0), box(1, 0, 0)) == 1
    assert compute_overlap(box(1, 0, 0), box(1, 5, 0)) == pytest.approx(1 / 3)
    assert compute_overlap(box(1, 0, 0), box(1, 10, 0)) == 0
    twice = [box(0.5, 1, 0), box(0.9, 0, 0), box(0.6, 50, 0)]
    assert remove_duplicates(twice) == [box(0.9, 0, 0), box(0.6, 50, 0)]
    assert len(remove_duplicates([box(0.5, 20 * i, 0) for i in range(MOST + 5)])) == MOST


@pytest.mark.parametrize(
    ("place", "seen"),
    [
        ((-30, 0), {"left of"}),
        ((30, 0), {"right of"}),
        ((0, -30), {"above"}),
        ((0, 30), {"below"}),
        ((30, 30), {"right of", "below"}),
        ((30, 13), {"right of"}),
        ((2, 0), set()),  # within a tenth of both extents
        ((-2, 2), set()),
        ((3.9, 0), set()),  # what lies beyond the margin is less than half of the distance
        ((4.1, 0), {"right of"}),
    ],
)
def test_position_needs_a_clear_offset_of_centres(place: tuple[float, float], seen: set[str]) -> None:
    assert find_positions(box(1, 100 + place[0], 100 + place[1]), box(1, 100, 100)) == seen


def test_larger_objects_must_be_further_apart() -> None:
    assert find_positions(box(1, 8, 0, 10), box(1, 0, 0, 10)) == {"right of"}
    assert find_positions(box(1, 8, 0, 40), box(1, 0, 0, 40)) == set()


def test_a_position_is_read_off_the_surest_boxes() -> None:
    objects = {"dog": [box(0.9, 0, 0), box(0.8, 90, 0)], "cat": [box(0.7, 45, 0)]}
    assert right("a photo of a dog left of a cat", objects)
    assert not right("a photo of a dog right of a cat", objects)
    assert right("a photo of a cat right of a dog", objects)
    assert not right("a photo of a dog above a cat", objects)


def test_a_colour_is_read_off_the_surest_box() -> None:
    first, second, cat = box(0.9, 0, 0), box(0.8, 90, 0), box(0.7, 45, 0)
    assert right("a photo of a red dog", {"dog": [first, second]}, {first: "red"})
    assert not right("a photo of a red dog", {"dog": [first, second]}, {first: "pink", second: "red"})
    both = {"dog": [first], "cat": [cat]}
    assert right("a photo of a red dog and a blue cat", both, {first: "red", cat: "blue"})
    assert not right("a photo of a red dog and a blue cat", both, {first: "blue", cat: "red"})
    assert not right("a photo of a red dog and a blue cow", both)
