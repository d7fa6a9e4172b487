"""Terminal views of a recommendation."""

from collections.abc import Iterable, Iterator

from rich.text import Text

from harness.core.units import Absent
from harness.deployment import DefaultCheck, Nearest, Pick, Recommendation, SituationAnswer

_COLOURS = {"confirmed": "green", "contradicted": "red"}


def recommendation_parts(found: Recommendation) -> Iterator[Text]:
    """Yield the answer, the decision table and what the run says about the default."""
    yield Text(f"{found.model} on {found.machine}, policy {found.policy}", style="dim")
    yield Text()
    if isinstance(found.answer, Nearest):
        yield from _nearest_lines(found.answer)
    else:
        yield Text(f"Deploy {found.answer.cell}", style="bold green")
        yield from _pick_lines(found.answer)
    yield from _list_lines("meets the limits, may not ship", found.would_meet)
    yield Text()
    for row in found.situations:
        yield from _situation_lines(row)
    yield from _default_lines(found.default)


def _nearest_lines(nearest: Nearest) -> Iterator[Text]:
    yield Text("No cell that may ship meets these limits.", style="bold red")
    yield Text(f"Nearest: {nearest.cell}", style="bold")
    for text in nearest.unmet:
        yield Text(f"  {text}")


def _pick_lines(pick: Pick) -> Iterator[Text]:
    yield Text(f"  {pick.shown}")
    yield from _list_lines("cost", pick.costs)
    if pick.ties:
        yield Text(f"  ties with {', '.join(pick.ties)}; likelier on the Pareto front")
    if pick.runner_up:
        yield Text(f"  runner-up {pick.runner_up}; {pick.versus}")
    yield from _list_lines("note", pick.notes)


def _situation_lines(row: SituationAnswer) -> Iterator[Text]:
    answer = "no answer" if isinstance(row.pick, Absent) else row.pick.cell
    yield Text.assemble((row.name, "bold"), (f"  {row.question} ", "dim"))
    if isinstance(row.pick, Absent):
        yield Text(f"  {answer}: {row.pick.absent}", style="yellow")
    else:
        yield Text(f"  {answer}: {row.pick.shown}")
        if row.pick.runner_up:
            yield Text(f"  runner-up {row.pick.runner_up}; {row.pick.versus}")
        if row.pick.ties:
            yield Text(f"  ties with {', '.join(row.pick.ties)}")
    yield from _list_lines("not measured", row.unmeasured)


def _default_lines(check: DefaultCheck) -> Iterator[Text]:
    yield Text()
    yield Text.assemble(
        ("The default ", "bold"),
        f"({check.default}): ",
        (check.finding, _COLOURS.get(check.finding, "yellow")),
        f", {check.reason}",
    )
    for part in check.ingredients:
        yield Text.assemble(
            f"  {part.name}: ", (part.finding, _COLOURS.get(part.finding, "yellow"))
        )
        for line in part.evidence:
            yield Text(f"    {line}", style="dim")


def _list_lines(label: str, texts: Iterable[str]) -> Iterator[Text]:
    for text in texts:
        yield Text(f"  {label}: {text}", style="dim")
