"""JUnit XML for CI systems: one test case per cell and rule, or per cell and quantity."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from harness.core.base import Frozen
from harness.core.policy import rule_words
from harness.core.verdict import Result, RuleVerdict
from harness.results.cell import CellResult, Standing
from harness.results.run import Run
from harness.store.read import created_at
from harness.store.write import write_atomically

CaseStatus = Literal["passed", "failure", "error", "skipped"]
_RESULTS: dict[Result, CaseStatus] = {
    "pass": "passed", "fail": "failure", "inconclusive": "error", "missing": "error",
}  # fmt: skip
"""An undecided verdict is an error, because the gate's exit code is not 0 either."""
_UNJUDGED: dict[Standing, CaseStatus] = {
    "failed": "error", "skipped": "skipped", "pending": "error", "unjudged": "error",
}  # fmt: skip
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class JUnitCase(Frozen):
    """One test case; `kind` is the type of its failure, error or skip, `output` a note."""

    name: str
    status: CaseStatus = "passed"
    kind: str = ""
    message: str = ""
    output: str = ""


class JUnitSuite(Frozen):
    """The test cases of one cell; `group` and `name` make their class name."""

    group: str
    name: str
    time: datetime | None
    """When the run was created; None if its records do not say."""
    host: str
    cases: tuple[JUnitCase, ...]


def list_gate_suites(run: Run) -> tuple[JUnitSuite, ...]:
    """Return one suite per candidate, with one case per rule; cells without a verdict have one
    case."""
    time = _parse_time(created_at(run.folder))
    group, host = run.plan.matrix.name, run.plan.machine.name
    return tuple(
        JUnitSuite(group=group, name=cell.id, time=time, host=host, cases=_list_cases(cell))
        for cell in run.candidates
    )


def _parse_time(text: str) -> datetime | None:
    """Return the time that a text begins with, to the second."""
    try:
        return datetime.strptime(text[:15], "%Y%m%dT%H%M%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def _list_cases(cell: CellResult) -> tuple[JUnitCase, ...]:
    if cell.verdict is not None:
        return tuple(map(_judge_case, cell.verdict.rules))
    status = _UNJUDGED[cell.standing]
    return (JUnitCase(name="verdict", status=status, kind=cell.standing, message=cell.reason),)


def _judge_case(judged: RuleVerdict) -> JUnitCase:
    rule = judged.rule
    words = rule_words(rule.model_copy(update={"metric": judged.metric or rule.metric}))
    if rule.severity == "warning":  # never fails a cell
        output = "" if judged.result == "pass" else f"warning, {judged.result}: {judged.sentence}"
        return JUnitCase(name=words, output=output)
    if judged.waiver is not None:
        what = f"{judged.waiver}. {judged.result}: {judged.sentence}"
        return JUnitCase(name=words, status="skipped", kind="waived", message=what)
    status = _RESULTS[judged.result]
    if status == "passed":
        return JUnitCase(name=words, output=judged.sentence)
    return JUnitCase(name=words, status=status, kind=judged.result, message=judged.sentence)


def write_junit(run: Run, path: Path, option: str = "") -> None:
    """Write the verdicts of a run; MachineError if the file cannot be written.

    `option` is the command's option that names another file, for the error's advice.
    """
    write_atomically(path, render_junit(run.plan.run_id, list_gate_suites(run)), option)


def render_junit(name: str, suites: Sequence[JUnitSuite]) -> bytes:
    """Return JUnit XML that Jenkins, GitLab and GitHub's test reporters read."""
    root = ElementTree.Element("testsuites", {"name": _clean(name), **_count(suites)})
    for suite in suites:
        element = ElementTree.SubElement(root, "testsuite", _describe(suite))
        for case in suite.cases:
            _add_case(element, case, _clean(f"{suite.group}.{suite.name}"))
    ElementTree.indent(root, " ")
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _describe(suite: JUnitSuite) -> dict[str, str]:
    skipped = sum(case.status == "skipped" for case in suite.cases)
    about = {"name": _clean(suite.name), **_count([suite]), "skipped": str(skipped)}
    if suite.time:  # the schema wants UTC without a zone
        time = suite.time.astimezone(timezone.utc).replace(tzinfo=None)
        about["timestamp"] = time.isoformat("T", "seconds")
    return {**about, "hostname": _clean(suite.host)}


def _count(suites: Iterable[JUnitSuite]) -> dict[str, str]:
    states = [case.status for suite in suites for case in suite.cases]
    return {
        "tests": str(len(states)),
        "failures": str(states.count("failure")),
        "errors": str(states.count("error")),
    }


def _add_case(suite: ElementTree.Element, case: JUnitCase, group: str) -> None:
    element = ElementTree.SubElement(
        suite, "testcase", {"classname": group, "name": _clean(case.name)}
    )
    message = _clean(case.message)
    if case.status == "skipped":
        ElementTree.SubElement(element, "skipped", {"message": message})
    elif case.status != "passed":
        about = {"message": message.partition("\n")[0], "type": case.kind}
        ElementTree.SubElement(element, case.status, about).text = message
    if case.output:
        ElementTree.SubElement(element, "system-out").text = _clean(case.output)


def _clean(text: str) -> str:
    """Return text without letters that XML cannot hold."""
    return _NOT_XML.sub("\ufffd", text)
