"""Make self-test vectors anew: `HARNESS_WEIGHTS=… python -m tests.selftest_vectors [METRIC …]`; without names, all.

Metrics whose weights are not on this machine keep the outputs they have; without any, a network of the real
architecture with no weights stands in, and the vector ends at what the network is fed.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

from harness.core.errors import MachineError
from harness.metrics import Metric, Weights, get_metric, list_metrics
from harness.metrics._base import Scorer
from harness.metrics._selftest import VECTORS, Vector, observe
from tests.builders.stand_ins import HUB, make


@contextmanager
def stand_in(metric: Metric) -> Iterator[Scorer]:
    """The scorer of a metric without its weights: any tensor may be in its layers, what they are fed is real."""
    import torch

    initialisers = [name for name in dir(torch.nn.init) if name.endswith("_") and not name.startswith("_")]
    load, fill_all = torch.load, torch.nn.Module.load_state_dict
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        nothing = Path(folder) / "nothing.pth"
        nothing.touch()
        of_hub = {wanted.key: Path(folder) / wanted.key for wanted in metric.needs() if wanted.key in HUB}
        for key, path in of_hub.items():
            make(path, key)

        def load_some(path: object, *words: object, **options: object) -> object:
            return _blank(metric) if path == nothing else load(path, *words, **options)

        def fill(net: torch.nn.Module, state: dict[str, object], **options: bool) -> object:
            return fill_all(net, state, **options) if state else None

        stack.enter_context(patch.object(Weights, "find", lambda self, wanted: of_hub.get(wanted.key, nothing)))
        stack.enter_context(patch.object(torch, "load", load_some))
        stack.enter_context(patch.object(torch.nn.Module, "load_state_dict", fill))
        for name in initialisers:
            stack.enter_context(patch.object(torch.nn.init, name, lambda tensor, *_, **__: tensor))
        yield metric.load(Weights())


def _blank(metric: Metric) -> dict[str, object]:
    """A checkpoint without values: torchvision's trunks are picked apart by name when they are loaded."""
    import torchvision

    makers = {"alexnet": torchvision.models.alexnet, "vgg16": torchvision.models.vgg16}
    maker = makers.get(metric.needs()[0].key)
    return maker(weights=None).state_dict() if maker else {}


def make_vector(metric: Metric) -> Vector:
    """Return a metric's vector, whole where its weights are here."""
    try:
        return observe(metric, metric.load(Weights()), whole=True)
    except MachineError:
        with stand_in(metric) as scorer:
            return observe(metric, scorer, whole=False)


def main() -> None:
    """Write the vectors of the metrics that the command line names, else of all, one after the other."""
    old = json.loads(VECTORS.read_text(encoding="utf-8")) if VECTORS.exists() else {}
    vectors = {}
    for name in list_metrics():
        if sys.argv[1:] and name not in sys.argv[1:]:
            vectors[name] = old[name]
            continue
        made = make_vector(get_metric(name)).model_dump(mode="json")
        kept = not made["outputs"] and old.get(name, {}).get("outputs")
        vectors[name] = old[name] if kept else made
        print(f"{name}: {'kept: ' if kept else ''}{vectors[name]['covers']}")
    VECTORS.write_text(
        json.dumps(vectors, indent=None, separators=(",", ":")).replace('},"', '},\n"') + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
