"""The call with which a batch size is tried."""

from typing import Any

from harness.core.model import Call


def one_step(call: Call, images: int) -> Call:
    """Return a call of one step for this many images: memory is the same in every step."""
    places = [place % len(call.prompts) for place in range(images)]
    chosen: dict[str, Any] = {"prompts": tuple(call.prompts[place] for place in places), "steps": 1}
    return call.model_copy(update={**chosen, "keys": tuple(call.keys[place] for place in places)})
