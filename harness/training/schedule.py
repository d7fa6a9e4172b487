"""How far a stage has come and what its learning rate is, bounded by steps and by minutes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from tqdm import tqdm


@dataclass(frozen=True)
class Effort:
    """What a stage may spend: at most so many steps and minutes, the size of a batch and the peak learning rate."""

    steps: int
    minutes: float
    batch: int
    rate: float

    def share(self, part: float) -> Effort:
        """The same effort with this part of its minutes."""
        return replace(self, minutes=part * self.minutes)


@dataclass
class Budget:
    """A stage ends after so many steps or minutes, whichever comes first; progress runs from 0 to 1."""

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
        """Share of the budget that is used, the larger of steps and time."""
        return min(1.0, max(self.done / self.effort.steps, self.seconds / (60 * self.effort.minutes)))

    @property
    def rate(self) -> float:
        """Factor on the peak learning rate: linear warm-up, then cosine to zero."""
        return min(1.0, (self.done + 1) / self.warm_up) * 0.5 * (1 + math.cos(math.pi * self.progress))

    def run(self, optimiser: torch.optim.Optimizer) -> Iterator[int]:
        """Yield step numbers until the budget is used, setting the learning rate before each."""
        peaks = [group["lr"] for group in optimiser.param_groups]
        with tqdm(total=100.0, desc=self.name, unit="%", mininterval=10, bar_format="{l_bar}{bar}{r_bar}") as bar:
            while not _anyone(self.progress >= 1):
                for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                    group["lr"] = peak * self.rate
                yield self.done
                self.done += 1
                bar.update(round(100 * self.progress, 2) - bar.n)


def _anyone(finished: bool) -> bool:
    """Whether this process, or any other that trains with it, has finished."""
    if not torch.distributed.is_initialized():
        return finished
    flag = torch.tensor(float(finished))
    torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
    return bool(flag)
