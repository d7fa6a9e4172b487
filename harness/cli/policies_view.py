"""What the shipped policies ask, on a terminal."""

from harness.cli.console import out, show_json
from harness.core.limits import rule_words, sees_words
from harness.core.policy import Policy


def show_policies(policies: tuple[Policy, ...], json: bool) -> None:
    """Print every policy with its rules in words."""
    if json:
        return show_json([policy.model_dump(mode="json") for policy in policies])
    for policy in policies:
        out.print(policy.name, style="bold", markup=False)
        out.print(f"  {policy.about}", markup=False)
        for rule in policy.gate:
            out.print(f"  - {rule_words(rule)}", style="dim", markup=False)
        if demanded := sees_words(policy):
            out.print(f"  - {demanded}", style="dim", markup=False)
