"""Human review: what a page shows and hides, which answers count, and what they decide."""

import base64
import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from harness.core.errors import ResultsError, UsageError
from harness.core.plan import Prompt
from harness.core.policy import Policy
from harness.core.review import ReviewAnswers, ReviewKey
from harness.core.rule import Rule
from harness.core.units import Absent
from harness.gating import judge_run
from harness.planning.interim_analyses import is_decided
from harness.reporting.page import build_page, render_page, render_text
from harness.results import Run
from harness.results.columns import make_rows
from harness.review import Wish, add_answers, page, write_review
from harness.review.images import LOSSY, encode_pairs
from harness.review.sampling import choose_sample
from harness.store.layout import RunFolder
from tests.builders.reviewed_run import (
    CELL,
    add,
    answer,
    attentive,
    losing,
    make_reviewed_run,
    preferring,
    seal,
    write_answers,
)

GOOD = attentive(preferring(3))
POLICY = Policy(gate=(Rule(quantity="human-preference", at_least=0.45),))


@pytest.fixture
def reviewed(tmp_path: Path) -> tuple[Path, ReviewKey]:
    return make_reviewed_run(tmp_path)


def content(html: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="content">(.*?)</script>', html, re.DOTALL)
    found: dict[str, Any] = json.loads(text)
    return found


def decode(uri: str) -> bytes:
    return base64.b64decode(uri.removeprefix("data:image/webp;base64,"))


def preference(run: Path, cell: str = CELL) -> Any:
    return Run.load(run).cell(cell).preference


def verdict(run: Path, cell: str = CELL) -> Any:
    loaded = Run.load(run)
    return next(found for found in judge_run(loaded, POLICY).cells if found.cell_id == cell)


def test_sample_is_stratified_and_repeatable() -> None:
    prompts = [Prompt(id=f"p{n}", text="", category="a" if n < 30 else "b") for n in range(40)]
    keys = [(prompt.id, seed) for prompt in prompts for seed in (0, 1)]
    sample = choose_sample(keys, prompts, 20, seed=1)
    assert len(sample.pairs) == len({prompt for prompt, _ in sample.pairs}) == 20
    assert Counter(int(prompt[1:]) < 30 for prompt, _ in sample.pairs) == {True: 15, False: 5}
    assert {seed for _, seed in sample.pairs} == {0, 1}
    assert choose_sample(keys, prompts, 20, seed=1) == sample != choose_sample(keys, prompts, 20, seed=2)
    shown = {prompt for prompt, _ in sample.pairs}
    assert all(prompt not in shown for prompt, _ in sample.identical + sample.controls)
    assert len(choose_sample(keys, prompts, 500, seed=0).pairs) == 80


def test_page_has_pairs_and_attention_checks(reviewed: tuple[Path, ReviewKey]) -> None:
    _, key = reviewed
    assert Counter(pair.kind for pair in key.pairs) == {"pair": 20, "identical": 3, "control": 3}
    sides = Counter(pair.marked for pair in key.pairs if pair.kind == "pair")
    assert sides == {"left": 10, "right": 10}
    assert len({pair.token for pair in key.pairs}) == 26


def test_sides_and_tokens_need_no_seed(reviewed: tuple[Path, ReviewKey]) -> None:
    run, key = reviewed
    other = write_review(run, CELL, Wish(pairs=20)).key
    pairs = [{p.prompt_id for p in each.pairs if p.kind == "pair"} for each in (key, other)]
    assert pairs[0] == pairs[1]  # the seed chooses the pairs
    assert not {pair.token for pair in key.pairs} & {pair.token for pair in other.pairs}
    sides = [{p.prompt_id: p.marked for p in each.pairs if p.kind == "pair"} for each in (key, other)]
    assert sides[0] != sides[1]


def test_page_depends_on_pixels_only(reviewed: tuple[Path, ReviewKey], monkeypatch: pytest.MonkeyPatch) -> None:
    """With baseline and candidate exchanged and every side turned, the page is the same to the byte."""
    run, key = reviewed
    loaded = Run.load(run)
    baseline, cell = loaded.baseline, loaded.cell(CELL)
    real = [pair for pair in key.pairs if pair.kind == "pair"]
    turned = [p.model_copy(update={"marked": "right" if p.marked == "left" else "left"}) for p in real]
    pages = []
    for first, second, pairs in ((baseline.id, CELL, real), (CELL, baseline.id, turned)):
        names = {baseline.id: first, CELL: second}
        find = page._path
        with monkeypatch.context() as patch:
            patch.setattr(page, "_path", lambda of, side, at, find=find, names=names: find(of, names[side], at))
            shown = encode_pairs([page._show(cell, pair) for pair in pairs])
        pages.append(page.render_page(key.model_copy(update={"pairs": tuple(pairs)}), loaded.prompt_texts, shown))
    assert pages[0] == pages[1]


def test_page_names_neither_run_nor_cell(reviewed: tuple[Path, ReviewKey]) -> None:
    run, _ = reviewed
    written = write_review(run, CELL, Wish(pairs=5))
    html = written.path.read_text(encoding="utf-8")
    found = content(html)
    assert set(found) == {"version", "run", "page", "pairs"}
    assert all(set(pair) == {"id", "prompt", "images"} for pair in found["pairs"])
    shell = html.replace(json.dumps(found["pairs"], separators=(",", ":")), "")
    for word in (CELL, "baseline", "fp16", run.name, "damage", *written.key.pairs[0].sha256.values()):
        assert word not in shell, word
        assert word not in written.path.name


def test_images_of_a_pair_are_encoded_alike(reviewed: tuple[Path, ReviewKey]) -> None:
    run, _ = reviewed
    html = write_review(run, CELL, Wish(pairs=20)).path.read_text(encoding="utf-8")
    for pair in content(html)["pairs"]:
        left, right = map(decode, pair["images"])
        assert len(left) == len(right)
        chunks = [list_chunks(data) for data in (left, right)]
        assert chunks[0] == chunks[1] == ["VP8L", "JUNK"]  # no Exif, no colour profile, no text


def list_chunks(data: bytes) -> list[str]:
    names, at = [], 12
    while at < len(data):
        names.append(data[at : at + 4].decode())
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return names


def test_another_size_does_not_show(tmp_path: Path) -> None:
    run, _ = make_reviewed_run(tmp_path, cell="doubled")
    (file,) = run.parents[1].glob("reports/*/review-*.html")
    for pair in content(file.read_text(encoding="utf-8"))["pairs"]:
        assert {Image.open(io.BytesIO(decode(uri))).size for uri in pair["images"]} == {(64, 64)}


def test_large_pages_are_encoded_with_loss(reviewed: tuple[Path, ReviewKey]) -> None:
    run, key = reviewed
    images = [page._show(Run.load(run).cell(CELL), pair) for pair in key.pairs[:4]]
    assert encode_pairs(images, budget=100).encoding == LOSSY


@pytest.mark.parametrize("cell", ["baseline", "baseline-rerun", "washed-in"])
def test_cells_without_comparison_are_refused(reviewed: tuple[Path, ReviewKey], cell: str) -> None:
    with pytest.raises(UsageError):
        write_review(reviewed[0], cell)


def test_pairs_without_files_are_left_out(reviewed: tuple[Path, ReviewKey]) -> None:
    run, _ = reviewed
    files = sorted(RunFolder(run).images(CELL).glob("*.png"))
    for file in files[4:]:
        file.unlink()
    written = write_review(run, CELL, Wish(pairs=20))
    assert (written.possible, written.without_files) == (4, 20)
    for file in files[:4]:
        file.unlink()
    with pytest.raises(ResultsError):
        write_review(run, CELL)


def test_preference_counts_wins_ties_and_losses(reviewed: tuple[Path, ReviewKey]) -> None:
    run, key = reviewed
    add(run, key, Ann=GOOD, Ben=attentive(losing))
    found = preference(run)
    assert (found.pairs, found.counted, found.lost) == (20, ("Ann", "Ben"), 20)
    assert found.preferred + found.tied == 20
    assert found.share.estimate == 0.5
    assert found.agreement < 0.1
    first = key.pairs[0]
    flagged = 2 / 40 if first.kind == "pair" else 0
    assert found.broken.estimate == (flagged if first.marked == "left" else 0)
    assert found.baseline_broken.estimate == (flagged if first.marked == "right" else 0)


def test_failed_attention_checks_exclude_a_rater(reviewed: tuple[Path, ReviewKey]) -> None:
    run, key = reviewed
    add(run, key, Ann=GOOD, Lazy=lambda pair, place: "tie", Lefty=lambda pair, place: "left")
    found = preference(run)
    assert found.counted == ("Ann",)
    reasons = {record.rater: record.excluded for record in found.raters}
    assert "3 of 6" in reasons["Lazy"]
    assert "identical" in reasons["Lefty"]


def test_one_failed_check_is_forgiven(reviewed: tuple[Path, ReviewKey]) -> None:
    run, key = reviewed
    slip = next(pair.token for pair in key.pairs if pair.kind == "identical")
    add(run, key, Ann=lambda pair, place: "left" if pair.token == slip else GOOD(pair, place))
    assert preference(run).counted == ("Ann",)


def test_without_counted_raters_it_is_absent(reviewed: tuple[Path, ReviewKey]) -> None:
    run, key = reviewed
    assert isinstance(preference(run), Absent)
    add(run, key, Lazy=lambda pair, place: "tie")
    assert "Lazy" in preference(run).absent
    assert isinstance(preference(run, "same"), Absent)


def test_new_images_make_a_review_stale(reviewed: tuple[Path, ReviewKey]) -> None:
    run, key = reviewed
    add(run, key, Ann=GOOD)
    outcome = RunFolder(run).outcome(CELL)
    shown = next(pair.sha256[CELL] for pair in key.pairs if pair.kind == "pair")
    outcome.write_text(outcome.read_text(encoding="utf-8").replace(shown, "0" * 64), encoding="utf-8")
    assert "again" in preference(run).absent


def refuse(run: Path, *given: ReviewAnswers) -> str:
    with pytest.raises(ResultsError) as caught:
        add_answers(run, [write_answers(run.parent, each) for each in given])
    return str(caught.value)


def test_wrong_answers_are_refused_by_name(reviewed: tuple[Path, ReviewKey]) -> None:
    run, key = reviewed
    good = answer(key, "Ann", GOOD)
    last = good.answers[-1]
    quick, foreign = (last.model_copy(update=change) for change in ({"ms": 1}, {"pair": "x"}))
    wrong = {
        "another run": good.model_copy(update={"run": "0" * 12}),
        "does not have": good.model_copy(update={"page": "0" * 12}),
        "checksum": good.model_copy(update={"answers": (*good.answers[:-1], quick)}),
        "without an answer": seal(good.model_copy(update={"answers": good.answers[:-1]})),
        "answered twice": seal(good.model_copy(update={"answers": (*good.answers, last)})),
        "not on the page": seal(good.model_copy(update={"answers": (*good.answers, foreign)})),
        "newer": good.model_copy(update={"version": 2}),
    }  # fmt: skip
    for words, given in wrong.items():
        assert words in refuse(run, given), words
    assert isinstance(preference(run), Absent)  # nothing was added


def test_duplicate_answers_are_refused(reviewed: tuple[Path, ReviewKey]) -> None:
    run, key = reviewed
    add(run, key, Ann=GOOD)
    assert "added before" in refuse(run, answer(key, "Ann", GOOD, 1000))
    assert "another set" in refuse(run, answer(key, "ann", attentive(losing)))
    assert "are those of Ann" in refuse(run, answer(key, "Eve", GOOD, 1000))
    assert preference(run).counted == ("Ann",)


def test_one_refused_file_adds_none(reviewed: tuple[Path, ReviewKey], tmp_path: Path) -> None:
    run, key = reviewed
    broken = tmp_path / "notes.json"
    broken.write_text("{", encoding="utf-8")
    good = write_answers(tmp_path, answer(key, "Ann", GOOD))
    with pytest.raises(ResultsError, match=r"notes\.json"):
        add_answers(run, [good, broken])
    assert isinstance(preference(run), Absent)


def test_changed_stored_answers_are_found(reviewed: tuple[Path, ReviewKey]) -> None:
    run, key = reviewed
    add(run, key, Ann=GOOD)
    (file,) = RunFolder(run).review_answers(key.page).glob("*.json")
    file.write_text(file.read_text(encoding="utf-8").replace('"tie"', '"left"', 1), encoding="utf-8")
    with pytest.raises(ResultsError, match="checksum"):
        Run.load(run)


def test_rule_on_human_preference_decides(reviewed: tuple[Path, ReviewKey]) -> None:
    run, key = reviewed
    assert verdict(run).result == "missing"
    assert is_decided(verdict(run))  # more images would not help
    add(run, key, **{f"R{n}": GOOD for n in range(3)})
    assert verdict(run).result == "pass"


def test_report_shows_raters_and_their_answers(reviewed: tuple[Path, ReviewKey]) -> None:
    run, key = reviewed
    assert [row["human_preference"] for row in make_rows(Run.load(run))] == [None] * 4
    add(run, key, Ann=GOOD, Ben=attentive(losing), Lazy=lambda pair, place: "tie")
    rows = {row["cell"]: row["human_preference"] for row in make_rows(Run.load(run))}
    assert rows == {"baseline": None, CELL: 0.5, "same": None, "doubled": None}
    shown = build_page(Run.load(run), 0.0)
    (section,) = shown.reviewed
    assert section.id == CELL
    assert section.review is not None
    assert section.review.panel == "3 raters, 1 excluded"
    assert "Human preference" in [column.title for column in shown.table.columns]
    assert "## Human review" in render_text("report.md.j2", shown)
    assert "3 raters, 1 excluded" in render_page(shown, None, "")


def test_losing_images_fail_the_rule(reviewed: tuple[Path, ReviewKey]) -> None:
    run, key = reviewed
    add(run, key, **{f"R{n}": attentive(losing) for n in range(3)})
    (judged,) = verdict(run).rules
    assert (judged.result, judged.observed) == ("fail", 0.0)


def test_one_rater_decides_nothing(reviewed: tuple[Path, ReviewKey]) -> None:
    run, key = reviewed
    add(run, key, Ann=GOOD)
    (judged,) = verdict(run).rules
    assert (judged.result, judged.observed) == ("inconclusive", 1.0)
    assert "5 raters" in judged.sentence


def test_few_pairs_are_inconclusive(tmp_path: Path) -> None:
    run, key = make_reviewed_run(tmp_path, pairs=6)
    lost = [pair.token for pair in key.pairs if pair.kind == "pair"][:2]
    mixed = attentive(lambda pair, place: losing(pair, place) if pair.token in lost else "tie")
    add(run, key, **{f"R{n}": mixed for n in range(6)})
    (judged,) = verdict(run).rules
    assert judged.result == "inconclusive"
    assert "pairs by as many raters" in judged.sentence
