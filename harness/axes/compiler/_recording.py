"""What the pipeline gives its denoiser: recorded from real calls, so that no family needs code of its own."""

import inspect
from typing import Any, NamedTuple

from harness.axes.compiler._inputs import Inputs, split
from harness.core.model import Call, TextToImage

Place = tuple[str, int]
"""A dimension of a named tensor."""


class Recording(NamedTuple):
    """The inputs of one real call with two images, and which of their dimensions change together.

    The first group of `groups` is the batch; each other one grows with the width, the height, or both.
    """

    signature: inspect.Signature
    inputs: Inputs
    groups: tuple[tuple[Place, ...], ...]

    def sizes(self) -> tuple[int, ...]:
        """Return the size of each group's dimensions in the recorded call."""
        return tuple(self.inputs.tensors[name].shape[axis] for (name, axis), *_ in self.groups)


IMAGES = 2
"""Images of the recorded call: with one, torch.export takes the batch for a constant."""


def record(model: TextToImage, call: Call) -> Recording:
    """Return what the denoiser is given for two images of `call`; nothing of the denoiser itself is run.

    A second call with another batch, width and height, each grown by a factor of its own, shows what they change.
    """
    signature = inspect.signature(model.denoiser.forward)
    given = _given(model, _images(call, IMAGES))
    larger = {"width": 2 * call.width, "height": 3 * call.height}
    other = _given(model, _images(call, IMAGES + 1).model_copy(update=larger))
    first, second = (split(signature, args, kwargs).tensors for args, kwargs in (given, other))
    groups: dict[tuple[int, int], list[Place]] = {}
    for name, tensor in first.items():
        for axis, pair in enumerate(zip(tensor.shape, second[name].shape, strict=True)):
            if pair[0] != pair[1]:
                groups.setdefault(pair, []).append((name, axis))
    batch = [pair for pair in groups if pair[0] * (IMAGES + 1) == pair[1] * IMAGES]
    ordered = [*batch, *(pair for pair in groups if pair not in batch)]
    return Recording(signature, split(signature, *given), tuple(tuple(groups[pair]) for pair in ordered))


def sizes_in(recording: Recording, model: TextToImage, call: Call) -> tuple[int, ...]:
    """Return the size of each group's dimensions in `call`, made with as many images as the recorded one."""
    args, kwargs = _given(model, _images(call, IMAGES))
    return recording._replace(inputs=split(recording.signature, args, kwargs)).sizes()


def _images(call: Call, count: int) -> Call:
    keys = tuple((f"recorded-{number}", 0) for number in range(count))
    prompts, negatives = (call.prompts or ("a picture",))[:1] * count, call.negatives[:1] * count
    return call.model_copy(update={"prompts": prompts, "keys": keys, "negatives": negatives})


class _Seen(Exception):
    """Ends a pipeline call once its denoiser was called."""


def _given(model: TextToImage, call: Call) -> tuple[tuple[Any, ...], dict[str, Any]]:
    seen: list[Any] = []

    def observe(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.extend((args, kwargs))
        raise _Seen

    handle = model.denoiser.register_forward_pre_hook(observe, with_kwargs=True)
    hooks, model.hooks[:] = list(model.hooks), []  # what they do to the arguments changes no shape
    try:
        model.text_to_image(call)
    except _Seen:
        pass
    finally:
        handle.remove()
        model.hooks[:] = hooks
    return seen[0], seen[1]
