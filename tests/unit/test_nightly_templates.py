"""The templates in docs/nightly: valid files of their kind, with commands and options that exist."""

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main

from harness.cli.commands import app
from tests.figures_of_code import ROOT

TEMPLATES = ROOT / "docs" / "nightly"
COMMAND = re.compile(r"(?<![\w-])harness ((?:nightly|prune|history)\b[^\n>;']*)")


def read_yaml(name: str) -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((TEMPLATES / name).read_text(encoding="utf-8"))


def test_every_template_is_in_the_documentation() -> None:
    page = (ROOT / "docs" / "nightly.md").read_text(encoding="utf-8")
    assert [path.name for path in TEMPLATES.iterdir() if f"nightly/{path.name}" not in page] == []


@pytest.mark.parametrize("path", sorted(TEMPLATES.iterdir()), ids=lambda path: path.name)
def test_commands_and_options_exist(path: Path) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = COMMAND.findall(path.read_text(encoding="utf-8"))
    assert found or path.suffix == ".timer"
    for line in found:
        name, *words = shlex.split(line)
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_the_github_workflow_is_scheduled() -> None:
    found = read_yaml("github-actions.yml")
    trigger = found[True]  # YAML 1.1 reads the key `on` as true
    (job,) = found["jobs"].values()
    assert re.fullmatch(r"(\S+ ){4}\S+", trigger["schedule"][0]["cron"])
    assert {"name", "concurrency", "permissions", "jobs"} <= set(found)
    assert "self-hosted" in job["runs-on"]
    assert set(job) == {"runs-on", "timeout-minutes", "env", "steps"}
    assert all(set(step) <= {"name", "if", "uses", "run", "with"} for step in job["steps"])
    uses = [step["uses"] for step in job["steps"] if "uses" in step]
    assert [use.partition("@")[0] for use in uses] == ["actions/checkout", "actions/upload-artifact"]
    assert any("GITHUB_STEP_SUMMARY" in step.get("run", "") for step in job["steps"])


def test_the_gitlab_job_reports_junit() -> None:
    (job,) = read_yaml("gitlab-ci.yml").values()
    keywords = {
        "tags", "rules", "resource_group", "timeout", "variables", "script", "after_script", "allow_failure",
        "artifacts",
    }  # fmt: skip
    assert set(job) == keywords
    assert job["artifacts"]["reports"]["junit"].endswith("junit.xml")
    assert job["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "schedule"'}]
    assert job["allow_failure"] == {"exit_codes": 6}


def test_cron_lines_have_five_times_and_a_command() -> None:
    lines = (TEMPLATES / "crontab").read_text(encoding="utf-8").splitlines()
    jobs = [line for line in lines if line and not line.startswith("#") and "=" not in line.split()[0]]
    assert jobs
    for line in jobs:
        *times, command = line.split(maxsplit=5)
        assert all(re.fullmatch(r"[\d*/,-]+", time) for time in times)
        assert "%" not in command  # cron reads it as a line break


@pytest.mark.parametrize("name", ["harness-nightly.service", "harness-nightly.timer"])
def test_units_are_valid(name: str, tmp_path: Path) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(TEMPLATES / name, encoding="utf-8")
    assert unit.sections()[0] == "Unit"
    if shutil.which("systemd-analyze"):
        for path in TEMPLATES.glob("harness-nightly.*"):
            text = path.read_text(encoding="utf-8").replace("User=harness\n", "User=root\n")
            (tmp_path / path.name).write_text(text, encoding="utf-8")
        done = subprocess.run(
            ["systemd-analyze", "verify", str(tmp_path / name)], capture_output=True, text=True, check=False
        )
        problems = [line for line in done.stderr.splitlines() if "harness-nightly" in line]
        assert problems == []
