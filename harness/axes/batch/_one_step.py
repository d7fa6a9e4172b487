"""The call with which a batch size is tried."""

from harness.core.model import Call


def one_step(call: Call, images: int) -> Call:
    """Return a call of one step for this many images: memory is the same in every step."""
    return call.of(place % len(call.prompts) for place in range(images)).model_copy(update={"steps": 1})
