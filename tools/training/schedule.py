"""Progress and learning rate of a training stage, bounded by steps and by minutes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from tqdm import tqdm


@dataclass(frozen=True)
class Effort:
    """Limits of a stage in steps and minutes, its batch size and its peak learning rate."""

    steps: int
    minutes: float
    batch: int
    rate: float

    def share(self, part: float) -> Effort:
        """Return the same effort with this part of its minutes."""
        return replace(self, minutes=part * self.minutes)


@dataclass
class Budget:
    """Ends a stage at the step or time limit, whichever comes first; progress runs from 0 to 1."""

    name: str
    effort: Effort
    warm_up: int = 100
    done: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Wall time since the stage began."""
        return time.monotonic() - self.started

    @property
    def progress(self) -> float:
        """Used share of the budget, the larger of steps and time."""
        return min(
            1.0, max(self.done / self.effort.steps, self.seconds / (60 * self.effort.minutes))
        )

    @property
    def rate(self) -> float:
        """Factor on the peak learning rate: linear warm-up, then cosine to zero."""
        return (
            min(1.0, (self.done + 1) / self.warm_up) * 0.5 * (1 + math.cos(math.pi * self.progress))
        )

    def run(self, optimiser: torch.optim.Optimizer) -> Iterator[int]:
        """Yield step numbers until the budget is used, setting the learning rate before each."""
        peaks = [group["lr"] for group in optimiser.param_groups]
        with tqdm(
            total=100.0, desc=self.name, unit="%", mininterval=10, bar_format="{l_bar}{bar}{r_bar}"
        ) as bar:
            while not _any_finished(self.progress >= 1):
                for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                    group["lr"] = peak * self.rate
                yield self.done
                self.done += 1
                bar.update(round(100 * self.progress, 2) - bar.n)


def _any_finished(finished: bool) -> bool:
    """Return whether this process or any other of the same training has finished."""
    if not torch.distributed.is_initialized():
        return finished
    flag = torch.tensor(float(finished))
    torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
    return bool(flag)
