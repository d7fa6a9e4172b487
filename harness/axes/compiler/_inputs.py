"""The arguments of a denoiser, taken apart into named tensors and put together again."""

import inspect
from typing import Any, NamedTuple

Tensors = dict[str, Any]


class Inputs(NamedTuple):
    """One call of a denoiser: its tensors by name (`added_cond_kwargs.text_embeds`), and all that is not a tensor."""

    tensors: Tensors
    constants: dict[str, Any]


def split(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Inputs:
    """Return the tensors of a call by name, those in dictionaries too, and its other arguments."""
    named: dict[str, Any] = {}
    for name, value in signature.bind(*args, **kwargs).arguments.items():
        inner = isinstance(value, dict) and value
        named |= {f"{name}.{key}": item for key, item in value.items()} if inner else {name: value}
    tensors = {name: value for name, value in named.items() if hasattr(value, "shape")}
    return Inputs(tensors, {name: value for name, value in named.items() if name not in tensors})


def join(inputs: Inputs) -> dict[str, Any]:
    """Return the keyword arguments that `split` took apart."""
    joined: dict[str, Any] = {}
    for name, value in (inputs.constants | inputs.tensors).items():
        outer, dot, key = name.partition(".")
        if dot:
            joined.setdefault(outer, {})[key] = value
        else:
            joined[outer] = value
    return joined
