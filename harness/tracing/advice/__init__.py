"""Plain advice from a trace: one file per rule, the three sentences that concern most of the call."""

from harness.core.catalog import list_names, resolve
from harness.tracing.bound import bound_of
from harness.tracing.rule import Advice, Rule
from harness.tracing.scene import Scene

SENTENCES = 3


def advise(scene: Scene) -> tuple[Advice, ...]:
    """Return at most three sentences, those that concern most of the call first.

    Where nothing is wrong, one that says what the denoiser's time goes into. No sentence names a value that is on or
    that the cell's other settings exclude.
    """
    bound = bound_of(scene)
    rules = (resolve(__name__, name, Rule)() for name in list_names(__name__))  # type: ignore[type-abstract]
    found = [advice for rule in rules if (advice := rule.look(scene, bound)) is not None]
    found.sort(key=lambda advice: -advice.concerns)
    if found:
        return tuple(found[:SENTENCES])
    busy = 1 - bound.idle_share
    return (Advice(rule="bound", sentence=bound.sentence, figure=busy, unit="share busy", concerns=0.0),)
