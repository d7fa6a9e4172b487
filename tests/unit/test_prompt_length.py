"""Prompts that a text encoder does not read to their end are counted and named in the plan, without torch."""

import inspect
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import api
from harness.core.model import CutTexts
from harness.core.plan import Prompt
from harness.metrics import get_metric
from harness.models._folder import Folder
from harness.models._tokenizers import find_cut
from harness.planning import list_truncation_notes
from tests.tiny import FAMILIES

Tiny = Callable[[str], Path]
MATRIX = 'name = "m"\nmodel = "{}"\nprompts.set = "{}"\n[axes]\nsteps = [4]\n[baseline]\nsteps = 4\n'
ENCODERS = {
    "sd": {"text_encoder": 24},
    "sdxl": {"text_encoder": 24, "text_encoder_2": 24},
    "sd3": {"text_encoder": 24, "text_encoder_2": 24, "text_encoder_3": 256},
    "flux": {"text_encoder": 24, "text_encoder_2": 512},
    "pixart": {"text_encoder": 300},
    "sana": {"text_encoder": 299},
}
"""Family → text encoder → tokens it reads; tiny CLIP tokenizers read 24 where the real ones read 77."""


@pytest.mark.parametrize("family", FAMILIES)
def test_every_text_encoder_of_a_family_is_asked(family: str, tiny: Tiny) -> None:
    long = " ".join("abcdefgh"[n % 8] for n in range(600))
    found = find_cut(Folder(tiny(family)), ("a red circle", long))
    assert {cut.encoder: cut.tokens for cut in found} == ENCODERS[family]
    assert {cut.texts for cut in found} == {(long,)}
    assert find_cut(Folder(tiny(family)), ("a b",)) == ()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_limit_is_where_the_pipeline_cuts(family: str, tiny: Tiny) -> None:
    """By the libraries' tokenizers and pipelines; Sana's limit includes the first token of its instruction."""
    from harness.models.folder import LocalFolder

    pipeline = LocalFolder(path=tiny(family)).load("cpu", {}).pipeline  # type: ignore[attr-defined]
    own = inspect.signature(pipeline.encode_prompt).parameters.get("max_sequence_length")
    assert own is None or own.default - (family == "sana") in ENCODERS[family].values()
    for encoder, most in ENCODERS[family].items():
        tokenizer = getattr(pipeline, encoder.replace("text_encoder", "tokenizer"))
        texts = [f"{'q' * length}é" for length in range(most // 2, 3 * most)]
        counts = [len(tokenizer(text).input_ids) for text in texts]
        (cut,) = [found for found in find_cut(Folder(tiny(family)), texts) if found.encoder == encoder] or [None]
        expected = tuple(text for text, count in zip(texts, counts, strict=True) if count > most)
        assert (cut.texts if cut else ()) == expected
        assert min(counts) <= most < max(counts)


def test_clip_counts_alike_without_a_definition(tiny: Tiny, tmp_path: Path) -> None:
    """Published SD 1.5 and SDXL have vocab.json and merges.txt; for a lone file those of open_clip are taken."""
    from harness.models._tokenizers import make_clip_tokenizer

    tokenizer = make_clip_tokenizer("tokenizer")
    folder = Path(shutil.copytree(tiny("sd"), tmp_path / "sd"))
    for path in (folder / "tokenizer").iterdir():
        path.unlink()
    config = folder / "text_encoder" / "config.json"
    texts = ("a photo of an astronaut riding a horse on mars", "it's naïve cafés, 3.14; don’t 🙂", "<|endoftext|> é")
    for text in texts:
        count = len(tokenizer(text).input_ids)
        for most, cut in ((count, 0), (count - 1, 1)):
            config.write_text(json.dumps({**json.loads(config.read_text()), "max_position_embeddings": most}))
            assert len(find_cut(Folder(folder), (text,))) == cut, (text, count)


def test_the_plan_counts_and_names_them(tiny: Tiny, tmp_path: Path) -> None:
    long = "a small red circle above a large blue square on a white background and " * 3
    (tmp_path / "p.jsonl").write_text(
        "\n".join(
            json.dumps({"id": name, "prompt": text}) for name, text in (("x", "a dot"), ("y", long), ("z", long + "x"))
        )
    )
    path = tmp_path / "m.toml"
    path.write_text(MATRIX.format(tiny("sd"), tmp_path / "p.jsonl"))
    (note,) = [note for note in api.plan(api.load(path)).notes if "longer than" in note]
    assert note == "2 of 3 prompts are longer than text_encoder reads (24 tokens); it ignores the rest of them: y, z"


def test_negative_prompts_count_and_many_are_shortened() -> None:
    prompts = [Prompt(id=f"p{n}", text="short", negative="long") for n in range(9)]
    (note,) = list_truncation_notes(prompts, [CutTexts(encoder="text_encoder", tokens=77, texts=("long",))])
    assert note.startswith("9 of 9 prompts are longer than text_encoder reads (77 tokens)")
    assert note.endswith("p0, p1, p2, p3, p4, …")


def test_a_tokenizer_that_cannot_be_read_is_told(tiny: Tiny, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny("pixart"), tmp_path / "pixart"))
    (folder / "tokenizer" / "tokenizer.json").unlink()
    (folder / "tokenizer" / "spiece.model").write_text("no vocabulary")
    (cut,) = find_cut(Folder(folder), ("é " * 400,))
    assert "cannot be read" in cut.uncounted
    (note,) = list_truncation_notes([], [cut])
    assert note.startswith("it is unknown whether text_encoder truncates prompts")


def test_counting_imports_no_torch(tiny: Tiny) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom harness.models.folder import LocalFolder\n"
        "assert LocalFolder(path=Path(sys.argv[1])).find_cut(('a ' * 99,))\nassert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tiny("sd"))], check=True)


def test_clip_score_counts_where_its_encoder_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the tokenizers that the networks read with, given more room than the networks have."""
    from open_clip import get_tokenizer

    from harness.metrics.bundled import clip

    texts = [f"{word * count}é &amp; {'red ' * count}" for word in ("circle ", "naïve", "🙂 ") for count in range(45)]
    most = {"clip:bundled": clip.LENGTH, "clip:mlperf": 77}
    monkeypatch.setattr(clip, "LENGTH", 600)
    whole = {"clip:bundled": clip.tokenize(texts), "clip:mlperf": get_tokenizer("ViT-B-32-quickgelu")(texts, 600)}
    for name, ids in whole.items():
        expected = tuple(text for text, row in zip(texts, ids, strict=True) if (row != 0).sum() > most[name])
        cut = get_metric(name).find_cut(texts)
        assert (cut.tokens, cut.texts) == (most[name], expected)
        assert 0 < len(expected) < len(texts)


def test_the_plan_counts_what_metrics_cut(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("a small red circle\n" + "a small red circle " * 6 + "\n")
    path = tmp_path / "m.toml"
    path.write_text(MATRIX.format("fake", tmp_path / "p.txt") + '[quality]\nmetrics = ["psnr", "clip:bundled"]\n')
    (note,) = [note for note in api.plan(api.load(path)).notes if "longer than" in note]
    assert note.startswith("1 of 2 prompts is longer than clip:bundled reads (24 tokens)")
