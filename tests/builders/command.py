"""The `harness` command inside this process, where tests need no process of its own: starting one takes a second."""

import io
import sys
import traceback
from pathlib import Path
from typing import NamedTuple

import pytest


class Answer(NamedTuple):
    """What a command did, by the names that subprocess uses."""

    returncode: int
    stdout: str
    stderr: str


def harness(*words: str, cwd: Path) -> Answer:
    """Return what `harness WORDS` answers in the folder `cwd`."""
    from harness.cli.commands import main

    code: object = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        patch.setenv("HARNESS_DEBUG", "")  # commands set it
        patch.setattr(sys, "argv", ["harness", *words])
        kept = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in ("stdout", "stderr")]
        for name, stream in zip(("stdout", "stderr"), kept, strict=True):
            patch.setattr(sys, name, stream)
        try:
            main()
        except SystemExit as ending:
            code = ending.code
        except Exception:
            code = 1
            traceback.print_exc()
        written = [sys.stdout, sys.stderr]  # by now guarded streams over the same bytes
        for stream in (*kept, *written):
            stream.flush()
        out, err = (stream.buffer.getvalue().decode() for stream in kept)  # type: ignore[attr-defined]
    return Answer(code if isinstance(code, int) else 0, out, err)
