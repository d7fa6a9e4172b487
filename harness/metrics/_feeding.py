"""See what a network is fed, whoever prepared it: the first tensor that reaches any layer with weights."""

import sys
from types import TracebackType
from typing import Any


class _StoppedError(Exception):
    """The network was fed; nothing further is wanted."""


class Feed:
    """While entered, keeps the first tensor given to a torch module with weights in `seen`; `stop` ends there.

    Modules without weights, such as torchvision's transforms, prepare what is fed. A network without torch modules is
    fed nothing that could be seen.
    """

    def __init__(self, stop: bool) -> None:
        self.stop = stop
        self.seen: list[Any] = []
        self._hook: Any = None

    def __enter__(self) -> "Feed":
        if "torch" in sys.modules:  # else there is no module to be fed, and pixel metrics do without torch
            from torch.nn.modules.module import register_module_forward_pre_hook

            self._hook = register_module_forward_pre_hook(self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self._hook is not None:
            self._hook.remove()
        return isinstance(error, _StoppedError)

    def _take(self, module: Any, arguments: tuple[Any, ...]) -> None:
        prepares = next(module.parameters(), None) is None
        if self.seen or prepares or not arguments:
            return
        self.seen.append(arguments[0].detach().cpu().numpy())
        if self.stop:
            raise _StoppedError
