"""The README's five minutes with your own model, word for word on a tiny SDXL folder, but small and timed briefly."""

import os
import re
import subprocess
import sys
from pathlib import Path

from harness import frame
from tests.readme import README
from tests.tiny import build_tiny

STEPS = re.search(
    r"<!-- own:begin -->\n```sh\n(.*?)```\n<!-- own:end -->", README.read_text(encoding="utf-8"), re.DOTALL
)


def test_the_commands_do_what_is_said(tmp_path: Path) -> None:
    assert STEPS is not None
    build_tiny("sdxl", tmp_path / "path" / "to" / "your" / "model")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    commands = STEPS[1].replace("bench mine.toml", "bench mine.toml || test $? -ne 5")  # a verdict is no error
    commands = commands.replace("\nEND\n", "\nmeasure = { min_s = 0, max_s = 0.5 }\nEND\n")  # a minute a cell, else
    commands = commands.replace("[50, 25, 8]", "[50, 4, 2]").replace("limit = 16", "limit = 6")
    done = subprocess.run(
        ["bash", "-eu", "-c", commands],
        check=False, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "5 cells ready, 6 images a cell" in done.stdout
    assert len(list(tmp_path.glob("reports/*/index.html"))) == 1
    run = next(tmp_path.glob("results/*_mine_*"))
    assert len(list(run.glob("cells/*/images/*"))) == 5 * 6
    assert frame(run)["latency_s"].gt(0).sum() == 3
