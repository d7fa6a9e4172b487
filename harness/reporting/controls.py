"""What each metric made of the baseline's own images, damaged and not."""

from harness.core.base import Frozen
from harness.core.quality import Control
from harness.reporting.loaded import Loaded
from harness.reporting.named import Named
from harness.reporting.wording import DASH, share_interval

IDENTICAL = "identical"


class ControlField(Frozen):
    """One metric's loss on one control; `alarm` where it is not what a sound metric finds."""

    name: str
    value: str
    note: str = ""
    alarm: bool = False


class ControlRow(Frozen):
    """One metric's losses on the controls, in their order."""

    metric: str
    blind: bool
    losses: tuple[ControlField, ...]


def control_names(loaded: Loaded) -> tuple[str, ...]:
    """Return the controls of an evaluation: the identical pictures first, then the damages in order."""
    controls = loaded.evaluation.controls if loaded.evaluation else ()
    names = dict.fromkeys(control.control for control in controls)
    return tuple(sorted(names, key=lambda name: name != IDENTICAL))


def control_rows(loaded: Loaded) -> tuple[ControlRow, ...]:
    """Return what each metric made of each control."""
    evaluation = loaded.evaluation
    if evaluation is None:
        return ()
    found = {(control.metric, control.control): control for control in evaluation.controls}
    names = control_names(loaded)
    return tuple(
        ControlRow(
            metric=metric,
            blind=metric in evaluation.blind,
            losses=tuple(_field(name, found.get((metric, name))) for name in names),
        )
        for metric in dict.fromkeys(control.metric for control in evaluation.controls)
    )


def _field(name: str, control: Control | None) -> ControlField:
    if control is None:
        return ControlField(name=name, value=DASH)
    value = share_interval(control.loss)
    if name == IDENTICAL:
        note = "a loss in identical pictures" if control.detected else "none, as it must be"
        return ControlField(name=name, value=value, note=note, alarm=control.detected)
    return ControlField(name=name, value=value, note="noticed" if control.detected else "not noticed")


def alarms_of(loaded: Loaded) -> tuple[Named, ...]:
    """Return what makes a metric of this run untrustworthy: a loss in identical pictures, or blindness."""
    evaluation = loaded.evaluation
    if evaluation is None:
        return ()
    found = [
        f"{control.metric} found a loss of {share_interval(control.loss)} in identical pictures. Its numbers are not "
        "reproducible here, and it judges nothing."
        for control in evaluation.controls
        if control.control == IDENTICAL and control.detected
    ]
    gating = {delta.metric for delta in evaluation.deltas if delta.gates}
    blind = [
        f"{metric} notices none of the damages it should, so its passes do not count."
        for metric in evaluation.blind
        if metric in gating
    ]
    alarms = [Named(name="Do not trust", value=text) for text in found]
    return (*alarms, *(Named(name="Blind", value=text) for text in blind))
