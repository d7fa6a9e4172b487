"""The shipped claims, files with mistakes, and the command."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.claims import load_ledger, parse_ledger, shipped_claims
from harness.cli.commands import app
from harness.core.errors import ExitCode, LedgerError, UsageError
from tests.builders.fake_run import copy_finished_run

SOURCE = '[source]\ntitle = "mine"\nurl = "https://example.org/figures"\n'
CLAIM = """
[[claim]]
id = "{id}"
what = "4 steps are faster than 50"
quantity = "speedup"
{figure}
candidate = {{ steps = 4 }}
baseline = {{ steps = 50 }}
"""
SCORE = '[[claim]]\nid = "a"\nwhat = "b"\nquantity = "score"\nvalue = 1\nmetric = "{metric}"\n'


def ledger(*figures: str) -> str:
    return SOURCE + "".join(CLAIM.format(id=f"own-{number}", figure=figure) for number, figure in enumerate(figures))


def test_what_the_issue_asks_for_ships() -> None:
    claims = {claim.id: claim for claim in shipped_claims()}
    assert claims["compile-folk"].window == (1.4, 2.0)
    figures = {
        "flux-h100-compile": 6.573 / 4.209, "flux-h200-compile": 5.58 / 4.32, "sdxl-a100-compile": 3.31 / 2.54,
        "lcm-lora-50-to-4-folk": 3.5 / 0.4, "sdxl-a100-lcm-lora": 3.8 / 1.2, "fp8-denoiser-folk": 13 / 24,
        "flux-h100-fp8-compiled": 4.209 / 3.243, "flux-h100-fp8-eager-slower": 6.573 / 8.622,
        "flux-bf16-weights": 31.438, "flux-fp8-weights": 20.357, "flux-h100-bf16-peak": 33.851,
        "flux-h100-fp8-peak": 31.818 / 33.851, "sd15-tensorrt-folk": 1510 / 991, "flux-h200-step": 5.58 / 28,
    }  # fmt: skip
    for name, figure in figures.items():
        assert claims[name].value == pytest.approx(figure, rel=2e-3), name
    assert claims["tensorrt-folk"].window == (2.0, 3.0)
    assert claims["mlperf-sdxl-fid"].window == pytest.approx((23.48046692 * 0.98, 23.48046692 * 1.02))
    assert claims["mlperf-sdxl-clip"].window == pytest.approx((31.74981837 * 0.998, 31.74981837 * 1.002))
    assert {"progressive-folk", "prompt-cache-folk", "flux-h200-compiled-latency"} <= set(claims)


def test_shipped_claims_have_unique_ids_and_sources() -> None:
    claims = shipped_claims()
    assert len({claim.id for claim in claims}) == len(claims)
    for claim in claims:
        assert claim.source.url.startswith("https://") or "source not found" in claim.source.title
        assert claim.id.endswith("-folk") == (not claim.source.url)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SOURCE, "claim: this key is required"),
        ("claim = []\n" + SOURCE, "claim: empty; a ledger needs at least one"),
        (ledger("value = 2").replace("https:", "ftp:"), "source.url: "),
        (ledger("valu = 2"), 'claim.0.valu: unknown key. Did you mean "value"?'),
        (ledger(""), "claim.0: give the figure as value, or as a range"),
        (ledger("value = 2\nat_most = 3"), "claim.0: give the figure as value, or as a range"),
        (ledger("at_least = 3\nat_most = 2"), "claim.0: at_least must be smaller than at_most"),
        (ledger("at_least = 3\ntolerance = 0.1"), "claim.0: tolerance is of value"),
        (ledger('value = 2\nmetric = "psnr"'), "claim.0: metric names the metric of a score"),
        (ledger("value = 2\nimages = 5"), "claim.0: images belongs to a score"),
        (ledger("value = 2\nsettings = { steps = 4 }"), "claim.0: steps: in settings, which hold for both cells"),
        (ledger("value = 2").replace("speedup", "spedup"), 'claim.0.quantity: unknown word "spedup". Did you mean'),
        (ledger("value = 2").replace("speedup", "latency-s"), "claim.0: latency-s is of one cell"),
        (ledger("value = 2").replace("baseline", "settings"), "claim.0: speedup compares two cells"),
        (ledger("value = 2\nsettings = { step = 4 }"), 'claim.0.settings.step: unknown axis "step". Did you mean'),
        (ledger('value = 2\nsettings = { compiler = "inducter" }'), 'compiler: unknown compiler "inducter". Did you'),
        (ledger('value = 2\nsettings = { compiler = "tensort*" }'), 'no compiler is like "tensort*". Did you mean'),
        (ledger('value = 2\nsettings = { resolution = "64X64" }'), 'cells spell this "64x64", not "64X64"'),
        (ledger("value = 2", "value = 3").replace("own-1", "own-0"), 'claim.1.id: the id "own-0" is taken'),
        (SOURCE + SCORE.format(metric="fidd"), 'claim.0.metric: unknown metric "fidd". Did you mean'),
    ],
)  # fmt: skip
def test_a_mistake_is_said_with_its_key(text: str, expected: str) -> None:
    with pytest.raises(LedgerError) as caught:
        parse_ledger(text)
    assert len(caught.value.problems) == 1, caught.value.problems
    assert expected in caught.value.problems[0]


def test_the_example_of_the_page_is_a_ledger() -> None:
    page = (Path(__file__).parents[2] / "docs" / "claims.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (claim,) = parse_ledger(example)
    assert claim.window == pytest.approx((1.33, 1.47))


def test_user_ledger_takes_no_shipped_id(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the claim ledger"):
        load_ledger(tmp_path / "none.toml")
    path = tmp_path / "own.toml"
    path.write_text(ledger("value = 2").replace("own-0", "compile-folk"), encoding="utf-8")
    with pytest.raises(LedgerError, match='the id "compile-folk" is taken'):
        load_ledger(path, shipped_claims())


def test_command_prints_outcomes_and_comparability(tmp_path: Path) -> None:
    run = str(copy_finished_run(tmp_path))
    nothing = CliRunner().invoke(app, ["claims", run])
    assert nothing.exit_code == ExitCode.NOTHING_TO_DO
    assert "no completed cell with compiler tensorrt*" in " ".join(nothing.stdout.split())
    path = tmp_path / "own.toml"
    path.write_text(ledger("at_least = 0", "at_least = 1000000"), encoding="utf-8")
    answer = CliRunner().invoke(app, ["claims", run, "--ledger", str(path)])
    assert answer.exit_code == ExitCode.PASS
    words = " ".join(answer.stdout.split())
    assert "confirmed claim own-0: 4 steps are faster than 50 claimed at least 0×" in words
    assert "refuted claim own-1" in words
    assert f"1 confirmed, 1 refuted, {len(shipped_claims())} not comparable" in words
    told = json.loads(CliRunner().invoke(app, ["claims", run, "--ledger", str(path), "--json"]).stdout)
    assert [finding["verdict"] for finding in told[:3]] == ["confirmed", "refuted", "not comparable"]
    assert told[0]["claim"]["source"]["url"] == "https://example.org/figures"
    assert told[0]["here"]["low"] <= told[0]["here"]["estimate"] <= told[0]["here"]["high"]
