"""Weights of the user's own, of which nothing is known but what the options say."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator

from harness.axes.distillation._distilled import Distilled
from harness.axes.distillation._student import Student
from harness.core.axis import Context, Unavailable
from harness.core.machine import Machine

Timesteps = Annotated[
    str, BeforeValidator(lambda given: "-".join(str(given).replace(",", " ").replace("-", " ").split()))
]


class Own(Distilled):
    """`timesteps` such as `999-749-499-249` are those of a call with as many steps."""

    timesteps: Timesteps = ""

    def kind(self) -> Student:
        """Return a student of this kind of weights, without a place."""
        raise NotImplementedError

    def students(self) -> Mapping[str, Student]:
        return {}

    def student(self, family: str) -> Student | None:
        if not self.weights:
            return None
        files = (self.weight_name,) if self.weight_name else self.kind().files
        steps = tuple(int(step) for step in self.timesteps.split("-") if step.isdigit())
        return self.kind()._replace(repo=self.weights, files=files, timesteps=steps, scale=self.scale or 1.0)

    def unavailable(self, machine: Machine) -> Unavailable | None:
        return None if self.weights else Unavailable(reason="needs the option weights", hint="a file or a hub id")

    def refuse(self, context: Context) -> str | None:
        if not self.weights:
            return None  # `unavailable` says so
        wrong = [word for word in self.timesteps.split("-") if word and not (word.isdigit() and int(word) < 1000)]
        return f"timesteps are numbers from 0 to 999, not {wrong[0]}" if wrong else super().refuse(context)
