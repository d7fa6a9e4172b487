"""A model without torch, for tests and for trying the tool: instant images, faults on demand."""

import hashlib
import os
import signal
import time
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np

from harness.core.errors import UsageError
from harness.core.model import Arguments, Call, CallHook, Draw, ModelInfo, ModelSource, TextToImage
from harness.core.recipe import NoRecipe
from harness.models import shapes

Fault = Literal["error", "segfault", "killed", "hang", "out-of-memory", "nan", "black", "disk-full"]


class FakePart:
    """A callable with hooks, like a torch module."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.before: list[Callable[..., None]] = []
        self.after: list[Callable[..., None]] = []

    def register_forward_pre_hook(self, hook: Callable[..., None]) -> "Handle":
        self.before.append(hook)
        return Handle(lambda: self.before.remove(hook))

    def register_forward_hook(self, hook: Callable[..., None]) -> "Handle":
        self.after.append(hook)
        return Handle(lambda: self.after.remove(hook))

    def __call__(self) -> None:
        for hook in self.before:
            hook(self, ())
        time.sleep(self.seconds)
        for hook in self.after:
            hook(self, (), None)


class Handle:
    """Removes a hook."""

    def __init__(self, remove: Callable[[], None]) -> None:
        self.remove = remove


class FakeModel:
    """Draws a coloured gradient per prompt, with noise that shrinks as the steps grow."""

    family: ClassVar = "fake"

    def __init__(self, step_s: float, faults: dict[int, Fault], device: str) -> None:
        self.pipeline, self.device, self.faults = None, device, faults
        self.hooks: list[CallHook] = []
        self.draw: Draw = FakeModel.text_to_image
        self.loras: dict[str, Any] = {}
        self.latent: Any = None
        self._parts = {
            "text_encoder": FakePart(step_s),
            "denoiser": FakePart(step_s),
            "vae": FakePart(step_s),
        }

        self.denoiser, self.vae = self._parts["denoiser"], self._parts["vae"]

    @property
    def text_encoders(self) -> dict[str, Any]:
        return {"text_encoder": self._parts["text_encoder"]}

    def generate(self, call: Call) -> Any:
        return self.draw(self, call)

    def text_to_image(self, call: Call) -> Any:
        fault = self.faults.get(call.steps)
        _raise_fault(fault)
        self._parts["text_encoder"]()
        for _ in range(call.steps):
            self._parts["denoiser"]()
        self._parts["vae"]()
        pixels = [
            _image(prompt, key, call) for prompt, key in zip(call.prompts, call.keys, strict=True)
        ]
        images = np.stack(pixels).astype(np.float32)
        return images * {"nan": np.nan, "black": 0.0}.get(str(fault), 1.0)

    def image_to_image(self, call: Call, images: Any, strength: float) -> Any:
        raise UsageError("the fake model has no image-to-image form")

    def encode(
        self, prompts: tuple[str, ...], guided: bool, negatives: tuple[str, ...] = ()
    ) -> Arguments:
        raise UsageError("the fake model has no prompt embeddings")

    def embedded(self, arguments: Arguments, embeddings: Arguments) -> Arguments:
        raise UsageError("the fake model has no prompt embeddings")

    def noise(self, keys: tuple[tuple[str, int], ...], width: int, height: int) -> Any:
        raise UsageError("the fake model starts from no noise")

    def twin(self) -> "FakeModel":
        return self

    def parts(self) -> dict[str, Any]:
        return dict(self._parts)

    def weights_bytes(self) -> dict[str, int]:
        return {"denoiser": 1000}


class Fake(ModelSource):
    """`step_s` seconds per denoiser call; `faults` maps a number of steps to a fault."""

    summary: ClassVar[str] = "instant images without torch, for tests and for trying the tool"
    prompt_set: ClassVar[str] = shapes.PROMPT_SET
    metrics: ClassVar[tuple[str, ...]] = shapes.METRICS

    step_s: float = 0.0
    faults: dict[int, Fault] = {}
    load_s: float = 0.0

    def describe(self) -> ModelInfo:
        return ModelInfo(
            title="fake model",
            family="fake",
            width=32,
            height=32,
            guidance=1.0,
            size_multiple=8,
            digest=hashlib.sha256(self.model_dump_json().encode()).hexdigest(),
            tags=frozenset({"no-pipeline", "no-lora", "no-torch", "no-image-to-image"}),
            image_step_s=self.step_s,
        )

    def recipe(self) -> NoRecipe:
        return NoRecipe(reason="the fake model has no pipeline: it draws patterns for tests")

    def load(self, device: str, options: dict[str, Any]) -> TextToImage:
        time.sleep(self.load_s)
        return FakeModel(self.step_s, self.faults, device)


def _image(prompt: str, key: tuple[str, int], call: Call) -> Any:
    """A gradient in the prompt's colour, plus noise of amplitude 1 / steps, fixed by the key."""
    seed = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:4], "big")
    colour = np.random.default_rng(seed).uniform(0.2, 0.8, 3)
    draw = np.random.default_rng([seed, key[1]])
    angle = draw.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0 : call.height, 0 : call.width] / max(call.height, call.width)
    ramp = 0.5 + 0.5 * np.sin(3 * (x * np.cos(angle) + y * np.sin(angle)))
    noise = draw.normal(0, 1, (call.height, call.width, 3)) / call.steps
    return np.clip(colour * ramp[..., None] + 0.3 * noise, 0, 1)


def _raise_fault(fault: Fault | None) -> None:
    if fault == "error":
        raise RuntimeError("this cell was asked to fail")
    if fault == "out-of-memory":
        raise MemoryError("this cell was asked to run out of memory")
    if fault == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "hang":
        time.sleep(3600)
    if fault == "disk-full":
        raise OSError(28, "No space left on device")
