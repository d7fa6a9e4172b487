"""Arguments and options of the commands with their help, and the groups of `harness --help`."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from harness.core.errors import UsageError

GROUPS = {
    "Measure": ("plan", "run", "bench", "profile"),
    "Every night": ("nightly", "history", "accept", "prune"),
    "Judge": ("evaluate", "gate", "claims"),
    "Sign off": ("review", "sign", "verify"),
    "Understand": ("report", "explain", "compare", "export"),
    "Deploy": ("recommend", "recipe"),
    "Set up": ("init", "axes", "policies", "weights", "doctor", "schema"),
}


class GroupedCommands(TyperGroup):
    """Lists the commands of `harness --help` by purpose."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        width = max(map(len, self.commands))
        for title, names in GROUPS.items():
            with formatter.section(title):
                rows = [
                    (f"{name:<{width}}", self.commands[name].get_short_help_str(66))
                    for name in names
                ]
                formatter.write_dl(rows)


Word = TypeVar("Word", str, Path, None)


def _require_text(word: Word) -> Word:
    """Return an argument that results record; UsageError if it is not UTF-8, which JSON cannot
    store."""
    try:
        str(word).encode()
    except UnicodeEncodeError as error:
        shown = str(word).encode(errors="backslashreplace").decode()
        raise UsageError(
            "this name is not UTF-8 text", shown, "Rename it, or set a UTF-8 locale."
        ) from error
    return word


MatrixFile = Annotated[
    Path, typer.Argument(metavar="MATRIX", help="A matrix file, or the name of a shipped matrix.")
]
RunName = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="A run folder, a run's name, a matrix file, or `latest`."),
]
RunNames = Annotated[
    list[Path], typer.Argument(metavar="RUN…", help="Runs, named as in the other commands.")
]
Select = Annotated[
    list[str] | None, typer.Option("--select", "-s", help="Globs on cell ids, such as '*fp8*'.")
]
Pilot = Annotated[
    Path | None,
    typer.Option(
        "--power",
        metavar="RUN",
        help="Forecast the power of the plan from the spread in this evaluated run.",
    ),
]
ModelWord = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        callback=_require_text,
        help="Use this model: a name, a folder, a .safetensors file or a Hub id.",
    ),
]
Results = Annotated[
    Path, typer.Option("--results", callback=_require_text, help="Folder of all runs.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Start a new run instead of continuing an earlier one.")
]
Retry = Annotated[bool, typer.Option("--retry-failed", help="Run failed cells again.")]
Inline = Annotated[bool, typer.Option("--inline", help="Run cells in this process, for debugging.")]
Nsys = Annotated[
    bool,
    typer.Option(
        "--nsys",
        help="Run under Nsight Systems, in a separate folder; prints the command if nsys is not "
        "installed.",
    ),
]
AxisNames = Annotated[
    list[str] | None, typer.Argument(metavar="[AXIS]…", help="Show these axes with all options.")
]
WeightUsers = Annotated[
    list[str] | None, typer.Argument(metavar="[MATRIX|METRIC]…", help="A matrix file, or metrics.")
]
Download = Annotated[bool, typer.Option("--download", help="Fetch missing files first.")]
PolicyName = Annotated[
    str | None,
    typer.Option(
        "--policy", help="Use this policy: a shipped one (harness policies) or a .toml file."
    ),
]
JUnitFile = Annotated[
    Path | None,
    typer.Option(
        "--junit", metavar="FILE", help="Also write the verdicts as JUnit XML, for CI systems."
    ),
]
CellName = Annotated[str, typer.Argument(metavar="[CELL]", help="A cell's id, or `baseline`.")]
AllCells = Annotated[bool, typer.Option("--all", help="Trace every completed cell.")]
Against = Annotated[str, typer.Option("--against", metavar="CELL", help="Compare with this cell.")]
OtherRun = Annotated[
    Path | None,
    typer.Option("--in", metavar="RUN", help="The run of that cell, if it is another one."),
]
Ledger = Annotated[
    Path | None, typer.Option("--ledger", metavar="FILE", help="A file with more claims.")
]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder of the report; default: reports/<run>.")
]
PageFolder = Annotated[
    Path | None, typer.Option("--out", help="Write the comparison as a page into this folder.")
]
ExportFolder = Annotated[
    Path, typer.Option("--to", metavar="DIR", callback=_require_text, help="Folder of the export.")
]
ExportKind = Annotated[
    str, typer.Option("--as", metavar="KIND", help="paper, parquet, mlflow, wandb or trackio.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Replace the files of an earlier export in that folder.")
]
ReviewWords = Annotated[
    list[str] | None,
    typer.Argument(metavar="[CELL | FILE…]", help="A cell's id; with --add files of answers."),
]
AddAnswers = Annotated[bool, typer.Option("--add", help="Store the answers in these files.")]
ReviewPairs = Annotated[int, typer.Option("--pairs", help="Pairs of images on the page.")]
ReviewSeed = Annotated[
    int, typer.Option("--seed", min=0, help="Seed of the random choice of pairs.")
]
ReviewPage = Annotated[
    Path | None,
    typer.Option("--out", help="File of the page; default: in the run's report folder."),
]
