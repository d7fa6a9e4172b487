"""Compute a batch in parts that an engine allows. Imports torch."""

from collections.abc import Callable

import torch

from harness.axes.compiler._inputs import Tensors
from harness.axes.compiler._profile import Profile
from harness.axes.compiler._recording import Place
from harness.core.trace import region


def in_parts(
    compute: Callable[[Tensors], torch.Tensor], tensors: Tensors, batch: tuple[Place, ...], profile: Profile
) -> torch.Tensor:
    """Return what `compute` makes of all rows, given between `profile.min_rows` and `profile.max_rows` at once.

    `batch` is the dimension of each tensor that counts rows; tensors without one are given whole each time. A batch
    that is allowed as it is, is given as it is: no copy of it is timed.
    """
    name, axis = batch[0]
    rows, most = tensors[name].shape[axis], profile.max_rows
    if profile.min_rows <= rows <= most:
        return compute(tensors)
    outputs = []
    for begin in range(0, rows, most):
        end = min(begin + most, rows)
        missing = max(0, profile.min_rows - (end - begin))  # an engine of one shape gets its last row again
        chosen = torch.tensor([*range(begin, end), *[end - 1] * missing])
        part = {name: tensors[name].index_select(axis, chosen.to(tensors[name].device)) for name, axis in batch}
        with region(f"rows {begin} to {end}"):
            outputs.append(compute({**tensors, **part})[: end - begin])
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)
