"""Prompt files of every usual format, what is taken of them, and the latent that images may start from."""

import json
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import MatrixError, UsageError
from harness.core.matrix import Prompts
from harness.core.plan import Prompt
from harness.matrix import parse_matrix, policy_text
from harness.prompts import load_prompts, prompt_sets
from harness.prompts.latent import describe_latent, read_latent
from tests.readme import ROOT

REAL = os.environ.get("HARNESS_TEST_PROMPTS", "")
"""A folder with partiprompts.tsv, mlperf_captions.tsv, geneval.txt and mlperf_latent.npy, where there is one."""
needs_real = pytest.mark.skipif(not REAL, reason="HARNESS_TEST_PROMPTS is not set: no published prompt sets here")


def load(path: Path, content: str, **wish: object) -> tuple[Prompt, ...]:
    path.write_text(content, encoding="utf-8")
    return load_prompts(Prompts.model_validate({"set": str(path), **wish}))


@pytest.mark.parametrize(
    ("name", "content", "ids"),
    [
        ("a.txt", "\na red fox\n\n  two owls \n", None),
        ("a.TXT", "a red fox\r\ntwo owls", None),
        ("bom.txt", "\ufeffa red fox\ntwo owls", None),
        ("parti.tsv", "Prompt\tCategory\tNote\na red fox\tanimals\tx\ntwo owls\tcounts\t\n", None),
        ("mlperf.tsv", "id\timage_id\tcaption\n70\t1\ta red fox\n277\t2\ttwo owls\n", ["70", "277"]),
        ("draw.csv", 'Prompts,Category\n"a red fox",Colors\ntwo owls,Counting\n', None),
        ("geneval.jsonl", '{"tag": "x", "prompt": "a red fox"}\n\n{"tag": "y", "prompt": "two owls"}\n', None),
        ("own.jsonl", '{"id": 1, "text": "a red fox"}\n{"id": "b", "text": "two owls"}', ["1", "b"]),
    ],
)
def test_every_format_gives_the_same_prompts(tmp_path: Path, name: str, content: str, ids: list[str] | None) -> None:
    prompts = load(tmp_path / name, content)
    assert [prompt.text for prompt in prompts] == ["a red fox", "two owls"]
    known = [prompt.id for prompt in load(tmp_path / "plain.txt", "a red fox\ntwo owls")]
    assert [prompt.id for prompt in prompts] == (ids or known)


@pytest.mark.parametrize("field", ["prompt", "category", "negative"])
def test_half_a_surrogate_pair_is_refused(tmp_path: Path, field: str) -> None:
    record = {"prompt": "a blue square", field: "a red circle \ud83d"}
    with pytest.raises(UsageError) as caught:
        load(tmp_path / "a.jsonl", '{"prompt": "a fox"}\n' + json.dumps(record))
    assert str(tmp_path / "a.jsonl") + f', line 2, field "{field}": \\ud83d is half' in str(caught.value)
    assert load(tmp_path / "a.jsonl", r'{"prompt": "a \ud83d\ude00"}')[0].text == "a 😀"


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.tsv"])
def test_bytes_that_are_not_utf8_name_the_line(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"prompt\na fox\n\xed\xa0\xbd\n")  # half a surrogate pair, as some programs write it
    with pytest.raises(UsageError, match="not UTF-8 text") as caught:
        load_prompts(Prompts(set=str(file)))
    assert caught.value.where == f"{file}, line 3"


def test_unusual_separators_stay_in_a_prompt(tmp_path: Path) -> None:
    assert len(load(tmp_path / "a.jsonl", '{"prompt": "a sign\u2028of two lines"}\n')) == 1
    assert len(load(tmp_path / "a.txt", "a sign\x85of two lines\r\nan owl\n")) == 2


def test_quoted_field_may_hold_delimiters(tmp_path: Path) -> None:
    prompts = load(tmp_path / "a.csv", 'text,category\n"a sign, saying ""hi""\nto all",writing\nb,x\n')
    assert prompts[0].text == 'a sign, saying "hi"\nto all'
    assert [prompt.category for prompt in prompts] == ["writing", "x"]


def test_quotation_marks_of_a_tsv_belong_to_the_prompt(tmp_path: Path) -> None:
    prompts = load(tmp_path / "a.tsv", 'prompt\tcategory\n"GO" in red letters\twriting\n')
    assert prompts[0].text == '"GO" in red letters'


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "title,id\nfox,1\n", "a.csv, header: no field is called prompt, caption, text or prompts"),
        ("a.csv", "", "header: no field"),
        ("a.tsv", "prompt,id\nfox,1\n", "It has: prompt,id"),
        ("a.csv", "prompt,id\nfox,1\n,2\n", 'a.csv, line 3: "prompt" is empty'),
        ("a.csv", "prompt,id\nfox,1\na,b,c\n", "line 3: more than 2 fields"),
        ("a.csv", 'prompt,id\n"fox,1\nowl,2\n', "line 2: not a row: unexpected end of data"),
        ("a.csv", "prompt,id\nfox,../x\n", "line 2: prompt id '../x' cannot name a file"),
        ("a.csv", f"prompt,id\nfox,{'x' * 400}\n", "of 400 characters cannot name a file"),
        ("a.jsonl", '{"prompt": "fox"}\n{"promt": "x"}\n', "a.jsonl, line 2: no field is called"),
        ("a.jsonl", '{"prompt": "fox"}\n\n["x"]\n', "line 3: not a prompt"),
        ("a.jsonl", "fox\n", "line 1: not a prompt"),
        ("a.jsonl", '{"prompt": ["fox"]}', '"prompt" is empty or no text'),
        ("a.txt", " \n", "the prompt set is empty"),
        ("a.csv", "prompt\n", "the prompt set is empty"),
        ("a.txt", "fox\nfox\n", "stands there twice"),
        ("a.json", "[]", "does not end in .txt or .jsonl or .csv or .tsv"),
    ],
)
def test_prompt_file_mistake_names_its_place(tmp_path: Path, name: str, content: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path / name, content)
    assert words in str(caught.value)


def test_limit_takes_the_first_and_refuses_too_many(tmp_path: Path) -> None:
    assert [prompt.text for prompt in load(tmp_path / "a.txt", "a\nb\nc", limit=2)] == ["a", "b"]
    with pytest.raises(UsageError, match="4 prompts asked for, the set has 3"):
        load(tmp_path / "a.txt", "a\nb\nc", limit=4)


def test_balanced_order_alternates_categories(tmp_path: Path) -> None:
    rows = [f"{kind}-{number},{kind}" for kind in ("x", "y", "z") for number in range(9)] + ["w-0,w"]
    table = "\n".join(["prompt,category", *rows])
    first = load(tmp_path / "a.csv", table, order="balanced", limit=12)
    again = load(tmp_path / "b.csv", "\n".join(["prompt,category", *reversed(rows)]), order="balanced", limit=25)
    assert Counter(prompt.category for prompt in first[:4]) == {"w": 1, "x": 1, "y": 1, "z": 1}
    assert max(Counter(prompt.category for prompt in first).values()) == 4
    assert again[:12] == first
    assert [prompt.text for prompt in first if prompt.category == "x"] != ["x-0", "x-1", "x-2", "x-3"]
    with pytest.raises(UsageError, match="needs categories"):
        load(tmp_path / "a.txt", "a\nb", order="balanced")


def test_negative_prompts_come_from_file_or_matrix(tmp_path: Path) -> None:
    lines = [{"prompt": "a", "negative": "blur"}, {"prompt": "b"}]
    content = "\n".join(map(json.dumps, lines))
    assert [prompt.negative for prompt in load(tmp_path / "a.jsonl", content)] == ["blur", ""]
    assert [prompt.negative for prompt in load(tmp_path / "a.jsonl", content, negative="text")] == ["blur", "text"]
    assert [prompt.negative for prompt in load(tmp_path / "a.txt", "a\nb", negative="text")] == ["text", "text"]
    assert [prompt.negative for prompt in load(tmp_path / "a.txt", "a\nb")] == [None, None]
    table = "prompt,negative_prompt\na,blur\nb,\n"
    assert [prompt.negative for prompt in load(tmp_path / "a.csv", table)] == ["blur", ""]


@pytest.mark.parametrize("name", prompt_sets())
def test_a_bundled_set_is_whole(name: str) -> None:
    prompts = load_prompts(Prompts(set=name))
    assert len(prompts) >= 64
    assert len({prompt.text for prompt in prompts}) == len(prompts) or name == "shapes"
    assert not any(prompt.negative for prompt in prompts)


def test_everyday_prompts_begin_with_all_kinds() -> None:
    kinds = Counter(prompt.category for prompt in load_prompts(Prompts(set="everyday", limit=24)))
    assert len(kinds) == 12
    assert set(kinds.values()) == {2}


@needs_real
@pytest.mark.parametrize(
    ("name", "count", "first"),
    [("partiprompts.tsv", 1632, None), ("mlperf_captions.tsv", 5000, "70"), ("geneval.txt", 553, None)],
)
def test_published_sets_are_read_whole(name: str, count: int, first: str | None) -> None:
    prompts = load_prompts(Prompts(set=str(Path(REAL) / name)))
    assert len(prompts) == len({prompt.id for prompt in prompts}) == count
    assert first is None or prompts[0].id == first


@needs_real
def test_mlperfs_latent_is_noise_for_sdxl() -> None:
    latent = describe_latent(str(Path(REAL) / "mlperf_latent.npy"))
    assert latent.shape == (4, 128, 128)
    assert abs(float(read_latent(latent).std()) - 1) < 0.01


def test_mlperf_settings_and_noise_are_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    section = (ROOT / "docs" / "prompts.md").read_text(encoding="utf-8").partition("## MLPerf's SDXL")[2]
    (command,) = re.findall(r'^python -c "(.*)"$', section, re.MULTILINE)
    torch.save(torch.randn(1, 4, 128, 128, generator=torch.Generator().manual_seed(0)), "latents.pt")
    exec(command)
    Path("captions_source.tsv").write_text("id\tcaption\n1\ta cat\n", encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    wish = parse_matrix(f'name = "m"\n{example}').prompts
    assert wish.latent is not None
    assert describe_latent(wish.latent).shape == (4, 128, 128)
    (prompt,) = load_prompts(wish)
    assert prompt.negative == "normal quality, low quality, worst quality, low res, blurry, nsfw, nude"
    assert prompt.negative in policy_text("mlperf-sdxl")


def test_a_latent_is_read_as_it_was_described(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=(1, 4, 8, 6))
    path = tmp_path / "noise.npy"
    np.save(path, noise)
    latent = describe_latent(str(path))
    assert latent.shape == (4, 8, 6)
    assert np.array_equal(read_latent(latent), noise[0].astype(np.float32))
    np.save(path, noise + 1)
    with pytest.raises(UsageError, match="not the file that the plan was made with"):
        read_latent(latent)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 4, 8, 8)), "not one latent"),
        (np.zeros((8, 8)), "not one latent"),
        (np.full((1, 4, 8, 8), np.nan), "not one latent of finite numbers"),
        (np.zeros((1, 4, 8, 8), dtype=int), "not an array of floats"),
    ],
)
def test_what_is_no_latent_is_refused(tmp_path: Path, array: np.ndarray, words: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(UsageError, match=words):
        describe_latent(str(tmp_path / "a.npy"))
    (tmp_path / "b.npy").write_text("no array", encoding="utf-8")
    with pytest.raises(UsageError, match=r"not a \.npy file"):
        describe_latent(str(tmp_path / "b.npy"))


def test_latent_needs_one_seed_and_an_existing_file(tmp_path: Path) -> None:
    text = f'name = "m"\nseeds = [0, 1]\n[axes]\nsteps = [2]\n[prompts]\nlatent = "{tmp_path / "no.npy"}"\n'
    with pytest.raises(MatrixError) as caught:
        parse_matrix(text)
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["prompts.latent", "seeds"]
