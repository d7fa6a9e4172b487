"""torch.compile compiled during the call."""

from harness.core.units import Absent
from harness.tracing.bound import Bound
from harness.tracing.rule import Advice, Rule, Try, possible
from harness.tracing.scene import Scene


class Recompiles(Rule):
    """A call that was warmed up and compiles nevertheless has a shape or a value that the code was not made for."""

    def look(self, scene: Scene, bound: Bound) -> Advice | None:
        count, compiler = scene.facts.recompiles, scene.setting("compiler")
        if isinstance(count, Absent) or not count:
            return None
        times = "once" if count == 1 else f"{count} times"
        sentence = f"torch.compile compiled {times} during the traced call"
        tries: tuple[Try, ...] = ()
        if compiler.startswith("inductor") and "dynamic" not in compiler:
            tries = possible(scene, "compiler", f"{compiler}+dynamic")
        if tries:
            sentence += f"; try {tries[0]}, whose code serves all shapes"
        return Advice(
            rule="recompiles",
            sentence=f"{sentence}.",
            figure=count,
            unit="compilations",
            concerns=scene.waiting(scene.facts.compiling_s),
            tries=tries,
        )
