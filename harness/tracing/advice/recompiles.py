"""torch.compile compiled during the call."""

from harness.core.units import Absent
from harness.tracing.bound import Bound
from harness.tracing.rule import Advice, Rule, Try
from harness.tracing.scene import Scene


class Recompiles(Rule):
    """What was timed is then no steady state, so it concerns the whole call."""

    def look(self, scene: Scene, bound: Bound) -> Advice | None:
        count, compiler = scene.facts.recompiles, scene.setting("compiler")
        if isinstance(count, Absent) or not count:
            return None
        times = "once" if count == 1 else f"{count} times"
        sentence = f"torch.compile compiled {times} during the traced call: raise measure.warmup"
        tries: tuple[Try, ...] = ()
        if compiler.startswith("inductor") and "dynamic" not in compiler:
            tries = (Try(axis="compiler", value=f"{compiler}+dynamic"),)
            sentence += f", or try compiler {tries[0].value}, whose code serves all shapes"
        return Advice(
            rule="recompiles", sentence=f"{sentence}.", figure=count, unit="compilations", concerns=1.0, tries=tries
        )
