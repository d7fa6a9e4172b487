"""The command as a person meets it: data on stdout, one exit code per meaning, quick help."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders.command import harness
from tests.builders.fake_run import MATRIX, write_matrix

BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "diffusers", "transformers"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Block())
from harness.cli.commands import main
sys.argv = ["harness", *sys.argv[1:]]
main()
"""


def without_torch(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Return what the command answers in a process in which torch cannot be imported."""
    start = [sys.executable, "-c", BLOCKED]
    return subprocess.run([*start, *words], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    write_matrix(folder)
    assert harness("run", "fake.toml", cwd=folder).returncode == 0
    return folder


def test_help_needs_no_torch(tmp_path: Path) -> None:
    answer = without_torch("--help", cwd=tmp_path)
    assert answer.returncode == 0
    assert "Exit codes" in answer.stdout


def test_plan_needs_no_torch(tmp_path: Path) -> None:
    write_matrix(tmp_path)
    answer = without_torch("plan", "fake.toml", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "baseline-other-seed" in answer.stdout


def test_report_needs_no_torch(finished: Path) -> None:
    answer = without_torch("report", "fake.toml", cwd=finished)
    assert answer.returncode == 0, answer.stderr
    assert Path(finished / answer.stdout.strip()).exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["plan", "none.toml"], 2, "cannot read the matrix file"),
        (["plna"], 2, "plna"),
        (["plan", "fake.toml", "--select", "nothing*"], 3, "no cell fits"),
        (["evaluate", "nowhere"], 7, "no run here"),
        (["gate", "fake.toml"], 7, "evaluat"),
        (["run", "fake.toml"], 3, "every cell is completed"),
    ],
)
def test_errors_have_exit_codes_and_advice(finished: Path, words: list[str], code: int, said: str) -> None:
    answer = harness(*words, cwd=finished)
    assert answer.returncode == code, answer.stderr
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    assert "Traceback" in without_torch("--debug", "plan", "none.toml", cwd=tmp_path).stderr


def test_data_goes_to_stdout_as_json(finished: Path) -> None:
    document = json.loads(harness("plan", "fake.toml", "--json", cwd=finished).stdout)
    assert document["baseline_id"] == "50-steps_fp32"
    rows = json.loads(harness("axes", "--json", cwd=finished).stdout)
    assert {"axis": "precision", "value": "bf16"}.items() <= next(r for r in rows if r["value"] == "bf16").items()
    assert json.loads(harness("doctor", "--json", cwd=finished).stdout)["cpu_cores"] >= 1


def test_select_runs_the_chosen_cells_and_the_baseline(tmp_path: Path) -> None:
    write_matrix(tmp_path)
    document = json.loads(harness("plan", "fake.toml", "--select", "4-*", "--json", cwd=tmp_path).stdout)
    compared = [c["cell"]["id"] for c in document["cells"] if c["role"] in ("baseline", "candidate")]
    assert compared == ["50-steps_fp32", "4-steps_fp32"]


def test_bench_goes_from_matrix_to_report(tmp_path: Path) -> None:
    write_matrix(tmp_path, MATRIX.replace("steps = [50, 20, 4]", "steps = [50, 4]"))
    answer = harness("bench", "fake.toml", cwd=tmp_path)
    assert answer.returncode in (0, 1, 6), answer.stderr
    assert list((tmp_path / "reports").glob("*/index.html"))


def test_gate_applies_another_policy_without_a_new_run(tmp_path: Path) -> None:
    write_matrix(tmp_path, MATRIX.replace("steps = [50, 20, 4]", "steps = [50, 4]"))
    harness("bench", "fake.toml", cwd=tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("*.json")}
    rule = '[[gate]]\nquantity = "cold-start-s"\nat_most = {}\n[[gate]]\nquantity = "cold-start-s"\n'
    rule += 'at_most = 1e-9\nseverity = "warning"\n'
    for limit, code in ((1000, 0), (1e-9, 1)):
        (tmp_path / "signoff.toml").write_text(rule.format(limit), encoding="utf-8")
        answer = harness("gate", "latest", "--policy", "signoff.toml", "--junit", "ci/gate.xml", cwd=tmp_path)
        assert answer.returncode == code, answer.stderr
        assert (tmp_path / "ci" / "gate.xml").read_text(encoding="utf-8").count("<failure") == code
        assert "warning  the cold start takes" in answer.stdout
        assert "policy: signoff" in answer.stdout
    stored = json.loads(harness("gate", "latest", "--policy", "signoff.toml", "--json", cwd=tmp_path).stdout)
    assert stored["policy"]["gate"][1]["severity"] == "warning"
    changed = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == {"verdicts.json"}
    assert harness("bench", "fake.toml", "--policy", "signoff.toml", cwd=tmp_path).returncode == 1
    assert len(list((tmp_path / "results").iterdir())) == 1


def test_policies_are_listed_and_mistakes_in_one_named(tmp_path: Path) -> None:
    write_matrix(tmp_path)
    listed = without_torch("policies", cwd=tmp_path)
    assert listed.returncode == 0
    assert "loss of every gating metric below 5 %" in listed.stdout
    assert "When to use it" in harness("policies", "strict", cwd=tmp_path).stdout
    names = {policy["name"] for policy in json.loads(harness("policies", "--json", cwd=tmp_path).stdout)}
    assert names >= {"mlperf", "same-image"}
    (tmp_path / "signoff.toml").write_text("[[gate]]\nmargn = 0.05\n", encoding="utf-8")
    answer = harness("bench", "fake.toml", "--policy", "signoff.toml", cwd=tmp_path)
    assert answer.returncode == 2
    assert 'Did you mean "margin"?' in answer.stderr
    assert not (tmp_path / "results").exists()


def test_two_runs_are_lined_up(finished: Path) -> None:
    (found,) = json.loads(harness("compare", "latest", "latest", "--json", cwd=finished).stdout)["pairs"]
    assert found["differences"] == []
    assert found["cells"] and all(row["speedup"] == pytest.approx(1.0) for row in found["cells"])


def test_bench_without_baseline_still_reports(tmp_path: Path) -> None:
    faulty = MATRIX.replace('source = "fake"', 'source = "fake"\nfaults = {50 = "error"}')
    write_matrix(tmp_path, faulty)
    answer = harness("bench", "fake.toml", cwd=tmp_path)
    assert answer.returncode == 5
    assert "asked to fail" in answer.stdout
    assert list((tmp_path / "reports").glob("*/index.html"))
    assert harness("evaluate", "fake.toml", cwd=tmp_path).returncode == 7


def test_weights_command_lists_missing_files(tmp_path: Path) -> None:
    rows = json.loads(without_torch("weights", "--json", cwd=tmp_path).stdout)
    assert {row["state"] for row in rows} <= {"found", "shipped", "missing"}
    answer = without_torch("weights", "clip:bundled", "psnr", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "1 of 1 weight files are usable" in answer.stdout
    (tmp_path / "wrong.pth").write_bytes(b"wrong")
    text = MATRIX.replace('metrics = ["psnr", "ssim"]', 'metrics = ["fid:mlperf"]\nweights.inception = "wrong.pth"')
    write_matrix(tmp_path, text)
    answer = without_torch("weights", "fake.toml", cwd=tmp_path)
    assert answer.returncode == 4
    assert "this is not" in answer.stdout
    warned = without_torch("plan", "fake.toml", cwd=tmp_path)
    assert warned.returncode == 0
    assert "fid:mlperf: no score on this machine" in warned.stderr
