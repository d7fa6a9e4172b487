"""Every error that users can see: what happened, where, what to do, and one exit code.

HarnessError
├── UsageError        2  wrong usage
├── MatrixError       2  mistakes in a matrix file, all of them at once
│   ├── PolicyError   2  the same of a policy file
│   ├── LedgerError   2  the same of a file of published claims
│   └── AcceptanceError 2 the same of a file of accepted changes
├── NothingToDo       3  nothing selected, or everything done already
├── MachineError      4  this machine cannot do it (missing package, weights, disk, lock)
├── NoEffect          5  a value that was applied changed nothing: its cell fails
├── NotSignedOff      1  no cell of a run may ship
│   └── UndecidedCells 6 verdicts that are to be signed are missing or inconclusive
└── ResultsError      7  results unreadable, inconsistent, or newer than this version
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the command's exit status means; one meaning each."""

    PASS = 0
    GATE_FAILED = 1
    USAGE = 2
    NOTHING_TO_DO = 3
    MACHINE = 4
    CELLS_FAILED = 5
    INCONCLUSIVE = 6
    RESULTS = 7


class HarnessError(Exception):
    """An error with a plain explanation: `what` happened, `where`, and what to do (`fix`)."""

    exit_code: ExitCode = ExitCode.USAGE

    def __init__(self, what: str, where: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.fix = what, where, fix

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.fix:
            parts.append(self.fix)
        return "\n".join(parts)


class UsageError(HarnessError):
    """The command or call is wrong."""


class MatrixError(HarnessError):
    """A matrix file has mistakes; `problems` lists all of them."""

    document = "matrix"

    def __init__(self, problems: list[str], where: str = "") -> None:
        self.problems = list(problems)
        count = len(self.problems)
        listing = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(
            f"{count} mistake{'s' if count != 1 else ''} in the {self.document}\n{listing}", where
        )


class PolicyError(MatrixError):
    """A policy file has mistakes; `problems` lists all of them."""

    document = "policy"


class LedgerError(MatrixError):
    """A file of published claims has mistakes; `problems` lists all of them."""

    document = "claim ledger"


class AcceptanceError(MatrixError):
    """A file of accepted changes has mistakes; `problems` lists all of them."""

    document = "file of accepted changes"


class NothingToDo(HarnessError):
    """There is nothing to do: no cell selected, or all are done."""

    exit_code = ExitCode.NOTHING_TO_DO


class MachineError(HarnessError):
    """This machine cannot do what was asked."""

    exit_code = ExitCode.MACHINE


class NoEffect(HarnessError):
    """A value was applied and nothing came of it: its figures would be the plain cell's under
    another name."""

    exit_code = ExitCode.CELLS_FAILED


class NotSignedOff(HarnessError):
    """The verdicts do not allow to sign a run off."""

    exit_code = ExitCode.GATE_FAILED


class UndecidedCells(NotSignedOff):
    """Verdicts that are to be signed are missing or inconclusive."""

    exit_code = ExitCode.INCONCLUSIVE


class ResultsError(HarnessError):
    """Results cannot be read, do not belong together, or come from a newer version."""

    exit_code = ExitCode.RESULTS
