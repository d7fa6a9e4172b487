"""Build a TensorRT engine from an ONNX graph; the same calls serve TensorRT 10, 11 and TensorRT-RTX. Needs no GPU
with TensorRT-RTX, whose engines are built for named cards."""

import importlib
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from harness.axes.compiler._artefacts import Artefact, keep
from harness.axes.compiler._profile import Profile
from harness.core.errors import HarnessError

PLAN = "engine.plan"


class Order(NamedTuple):
    """All that an engine is built from; `target` is the card, as a name or as `sm_86` (TensorRT-RTX without one)."""

    package: str
    graph: Path
    profile: Profile
    workspace_bytes: int
    target: str
    tf32: bool = False


def build_engine(order: Order, cache: Path) -> Artefact:
    """Return the folder with the engine, kept under the graph, the shapes, the memory, the card and the version."""
    key = (order.package, metadata.version(order.package), order.graph.parent.name, *order[2:])
    return keep(cache / order.package, key, lambda folder: _build(order, folder / PLAN))


def _build(order: Order, path: Path) -> dict[str, Any]:
    trt = importlib.import_module(order.package)
    logger, errors = _listen(trt)
    builder = trt.Builder(logger)
    # TensorRT 10 has to be told; 11 and RTX know nothing else.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(order.graph)):
        causes = "; ".join(str(parser.get_error(number)) for number in range(parser.num_errors))
        raise HarnessError(f"{order.package} cannot read the ONNX graph: {causes}", "compiler", "Use onnxruntime.")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, order.workspace_bytes)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if not order.tf32:
        config.clear_flag(trt.BuilderFlag.TF32)  # set by default: FP32 would silently be less
    if order.target.startswith("sm_"):
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, order.target.upper().replace("_", "")), 0)
    _add_profile(builder, network, config, order.profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        what = f"{order.package} could not build an engine for {order.target}: {'; '.join(errors) or 'no reason given'}"
        raise HarnessError(what, "compiler", "Use another precision or compiler.")
    path.write_bytes(plan)
    precisions = _precisions(network)
    return {"bytes": plan.nbytes, "layers": network.num_layers, "precisions": precisions}


def _listen(trt: Any) -> tuple[Any, list[str]]:
    """Return a logger and the list of errors that it will hear."""
    errors: list[str] = []

    class Listener(trt.ILogger):  # type: ignore[name-defined, misc]
        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                errors.append(message)

    logger = Listener()
    return logger, errors


def _add_profile(builder: Any, network: Any, config: Any, profile: Profile) -> None:
    wanted = builder.create_optimization_profile()
    for number in range(network.num_inputs):
        tensor = network.get_input(number)
        if -1 in tuple(tensor.shape):
            shapes = profile.shapes[tensor.name]
            fitted = [[b if a == -1 else a for a, b in zip(tensor.shape, shape, strict=True)] for shape in shapes]
            wanted.set_shape(tensor.name, *fitted)
    config.add_optimization_profile(wanted)


def _precisions(network: Any) -> dict[str, int]:
    """Layers by the type of what they compute: a strongly typed engine keeps it."""
    layers = (network.get_layer(number) for number in range(network.num_layers))
    types = Counter(str(layer.get_output(0).dtype).rpartition(".")[2].lower() for layer in layers if layer.num_outputs)
    return {f"layers_{name}": count for name, count in sorted(types.items())}
