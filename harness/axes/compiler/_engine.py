"""TensorRT engines: shape profiles, builds, sessions over torch tensors. Imports torch.

The same calls serve TensorRT 10 and 11 and TensorRT-RTX, which builds for named GPUs without one.
"""

import importlib
import math
from collections import Counter
from collections.abc import Callable, Collection
from importlib.metadata import version as find_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from harness.axes.compiler._artefacts import Artefact, keep
from harness.axes.compiler._fp8 import pack_fp8
from harness.axes.compiler._onnx import FILE, export_onnx, takes_all_sizes
from harness.axes.compiler._replacement import (
    RECORDED_IMAGES,
    Dimension,
    Engine,
    Recording,
    Tensors,
    compute_distance,
    exchange,
    measure_sizes,
    record,
    run_eager,
)
from harness.core.axis import Setup, Shape
from harness.core.effect import Effect
from harness.core.errors import HarnessError
from harness.core.model import Call, TextToImage
from harness.core.outcome import Figures
from harness.core.trace import region

if TYPE_CHECKING:
    from harness.axes.compiler._exported import TensorRt

PLAN = "engine.plan"
SHAPES = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def run_with_tensorrt(value: "TensorRt", model: TextToImage, setup: Setup) -> Effect:
    """Export the denoiser, build or find its engine, and put the engine in its place."""
    recording = record(model, setup.call)
    reference = run_eager(model, recording)
    packed: Figures = {}
    if value.fp8:
        packed |= pack_fp8(model, setup, value.calibration)
        plain, reference = reference, run_eager(model, recording)  # the engine's target
        packed["fp8_error"] = float(f"{compute_distance(reference, plain):.3g}")
    served = measure_shapes(model, setup.call, _list_shapes(value, model, setup))
    graph = export_onnx(model.denoiser, served.recording, setup.cache)
    request = EngineRequest(
        package=value.package,
        graph=graph.folder / FILE,
        profile=Profile.from_shapes(served, value.dynamic, value.max_batch),
        workspace_bytes=int(value.workspace_gib * 2**30),
        target=describe_gpu(model.device),
        tf32=torch.backends.cuda.matmul.allow_tf32,
    )
    built = build_engine(request, setup.cache)
    engine = Engine(
        run=EngineSession(built, request, served.recording).run,
        weights_bytes=built.facts["bytes"],
        name=f"{value.package.replace('_', '-')} ({built.facts['layers']} layers"
        f"{', fp8' if packed else ''})",
        origin=f"engine {built.origin}",
        figures={
            **built.figures,
            "onnx_export_s": round(graph.build_s, 3),
            "onnx_nodes": graph.facts["nodes"],
            "engine_bytes": built.facts["bytes"],
            **request.profile.figures,
            **built.facts["precisions"],
            **packed,
        },
    )
    # 8-bit rounding turns small differences into whole steps.
    limit = 5e-2 if value.fp8 else 2e-2 if reference.element_size() < 4 else 5e-3
    return exchange(model, recording, engine, reference, limit)


def _list_shapes(value: "TensorRt", model: TextToImage, setup: Setup) -> set[Shape]:
    """Return the shapes that the engine serves: those of all cells with the same graph."""
    call = setup.call
    own = Shape(call.width, call.height, call.guidance, setup.batch)
    if not value.dynamic or value.fp8:  # fp8 is calibrated on this cell's images
        return {own}
    sizes = takes_all_sizes(model.denoiser)
    return {own, *(shape for shape in setup.shapes if sizes or shape[:2] == own[:2])}


def describe_gpu(device: str) -> str:
    """Return the name and compute capability of a GPU, which an engine is built for."""
    properties = torch.cuda.get_device_properties(device)
    return f"{properties.name} {properties.major}.{properties.minor}"


class ShapeRange(NamedTuple):
    """A recording of the largest image, with guidance if any call has it, and all calls' sizes.

    `sizes` are those of the recording's groups in each call, the batch rows (images × guidance)
    first. All cells of a range export the same graph.
    """

    recording: Recording
    sizes: tuple[tuple[int, ...], ...]

    @property
    def rows_per_image(self) -> int:
        """Return the batch rows that one image takes: two with guidance, in most families."""
        return self.recording.sizes()[0] // RECORDED_IMAGES


def measure_shapes(model: TextToImage, call: Call, shapes: Collection[Shape]) -> ShapeRange:
    """Return the range of the calls with these shapes that are otherwise like `call`."""
    sizes = {(shape.width, shape.height) for shape in shapes}
    pixels = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    guidance = max(shape.guidance for shape in shapes)

    def resize(size: tuple[int, int]) -> Call:
        return call.model_copy(update={"width": size[0], "height": size[1], "guidance": guidance})

    recording = record(model, resize(pixels[-1]))
    measured = {size: measure_sizes(recording, model, resize(size)) for size in pixels[:-1]}
    measured[pixels[-1]] = recording.sizes()
    rows = recording.sizes()[0] // RECORDED_IMAGES
    found = {(rows * s.images, *measured[s.width, s.height][1:]) for s in shapes}
    return ShapeRange(recording, tuple(sorted(found)))


class Profile(NamedTuple):
    """Minimum, optimum and maximum shape of each input; batch rows of the smallest and largest."""

    shapes: dict[str, SHAPES]
    min_rows: int
    max_rows: int

    @classmethod
    def from_shapes(cls, served: ShapeRange, dynamic: bool, max_batch: int = 0) -> "Profile":
        """Return the profile that covers a range of shapes, tuned for the call with most work.

        A dynamic profile covers all sizes from one image and a quarter of the longest side (the
        first stages of a cascade) to the largest of each, or `max_batch` images. A static one
        covers a single call.
        """
        columns = list(zip(*served.sizes, strict=True))
        optimum = max(served.sizes, key=math.prod)
        largest = [max(column) for column in columns]
        smallest = list(optimum)
        if dynamic:
            shrink = 4 if len(columns) > 2 else 16  # a packed sequence shrinks with both sides
            rest = (min(*column, max(1, max(column) // shrink)) for column in columns[1:])
            smallest = [1, *rest]
            largest[0] = max(largest[0], served.rows_per_image * max_batch)
        shapes = {
            name: tuple(
                _fill_shape(served.recording, name, sizes) for sizes in (smallest, optimum, largest)
            )
            for name in served.recording.inputs.tensors
        }
        return cls(shapes, smallest[0], largest[0])  # type: ignore[arg-type]

    @property
    def figures(self) -> dict[str, str]:
        """Return the profile of the denoiser's first input, the image or its tokens."""
        bounds = next(iter(self.shapes.values()))
        names = ("profile_min", "profile_opt", "profile_max")  # TensorRT's terms
        return {name: "x".join(map(str, shape)) for name, shape in zip(names, bounds, strict=True)}


def _fill_shape(
    recording: Recording, name: str, sizes: list[int] | tuple[int, ...]
) -> tuple[int, ...]:
    shape = list(recording.inputs.tensors[name].shape)
    for group, size in zip(recording.groups, sizes, strict=True):
        for tensor, axis in group:
            if tensor == name:
                shape[axis] = size
    return tuple(shape)


class EngineRequest(NamedTuple):
    """Everything an engine is built from; `target` is a GPU's name, or `sm_86` without a GPU."""

    package: str
    graph: Path
    profile: Profile
    workspace_bytes: int
    target: str
    tf32: bool = False


def build_engine(request: EngineRequest, cache: Path) -> Artefact:
    """Return the folder with the engine, keyed by the request, its graph and the version."""
    version = find_version(request.package)
    key = (request.package, version, request.graph.parent.name, *request[2:])
    return keep(cache / request.package, key, lambda folder: _build(request, folder / PLAN))


def _build(request: EngineRequest, path: Path) -> dict[str, Any]:
    trt = importlib.import_module(request.package)
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()  # the builder times kernels in the memory that is left
    logger, errors = _make_logger(trt)
    builder = trt.Builder(logger)
    # The only mode of TensorRT 11 and RTX; TensorRT 10 needs the flag.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(request.graph)):
        causes = "; ".join(str(parser.get_error(number)) for number in range(parser.num_errors))
        what = f"{request.package} cannot read the ONNX graph: {causes}"
        raise HarnessError(what, "compiler", "Use onnxruntime.")
    plan = builder.build_serialized_network(network, _configure(trt, builder, network, request))
    if plan is None:
        causes = "; ".join(errors) or "no reason given"
        what = f"{request.package} could not build an engine for {request.target}: {causes}"
        raise HarnessError(what, "compiler", "Use another precision or compiler.")
    path.write_bytes(plan)
    precisions = _count_precisions(network)
    return {"bytes": plan.nbytes, "layers": network.num_layers, "precisions": precisions}


def _make_logger(trt: Any) -> tuple[Any, list[str]]:
    """Return a logger, and the list to which it appends errors."""
    errors: list[str] = []

    class Logger(trt.ILogger):  # type: ignore[name-defined, misc]
        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                errors.append(message)

    return Logger(), errors


def _configure(trt: Any, builder: Any, network: Any, request: EngineRequest) -> Any:
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, request.workspace_bytes)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if not request.tf32:
        config.clear_flag(trt.BuilderFlag.TF32)  # on by default: FP32 would silently lose bits
    if request.target.startswith("sm_"):
        config.num_compute_capabilities = 1
        capability = request.target.upper().replace("_", "")
        config.set_compute_capability(getattr(trt.ComputeCapability, capability), 0)
    profile = builder.create_optimization_profile()
    for number in range(network.num_inputs):
        tensor = network.get_input(number)
        if -1 in tuple(tensor.shape):
            shapes = request.profile.shapes[tensor.name]
            profile.set_shape(tensor.name, *(_fill_free(tensor.shape, shape) for shape in shapes))
    config.add_optimization_profile(profile)
    return config


def _fill_free(shape: Any, sizes: tuple[int, ...]) -> list[int]:
    return [size if side == -1 else side for side, size in zip(shape, sizes, strict=True)]


def _count_precisions(network: Any) -> dict[str, int]:
    """Count layers by output type, which a strongly typed engine keeps."""
    layers = (network.get_layer(number) for number in range(network.num_layers))
    types = (str(layer.get_output(0).dtype) for layer in layers if layer.num_outputs)
    counts = Counter(name.rpartition(".")[2].lower() for name in types)
    return {f"layers_{name}": count for name, count in sorted(counts.items())}


class EngineSession:
    """Runs an engine in a separate stream, in order with torch's; batches above the profile are
    computed in parts."""

    def __init__(self, built: Artefact, request: EngineRequest, recording: Recording) -> None:
        trt = importlib.import_module(request.package)
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self._engine = self._runtime.deserialize_cuda_engine((built.folder / PLAN).read_bytes())
        if self._engine is None:
            what = f"{request.package} cannot load its engine {built.folder}"
            raise HarnessError(what, "compiler", "Delete that folder.")
        self._context = self._engine.create_execution_context()
        count = self._engine.num_io_tensors
        names = [self._engine.get_tensor_name(number) for number in range(count)]
        modes = {name: self._engine.get_tensor_mode(name) for name in names}
        self._inputs = {name for name in names if modes[name] == trt.TensorIOMode.INPUT}
        self._output = next(name for name in names if name not in self._inputs)
        self._types = {name: _to_torch_type(self._engine.get_tensor_dtype(name)) for name in names}
        self._batch, self._profile = recording.groups[0], request.profile
        self._stream = torch.cuda.Stream()

    def run(self, tensors: Tensors) -> Any:
        """Return the output for tensors by name."""
        given = {name: tensors[name].to("cuda", self._types[name]) for name in self._inputs}
        batch = tuple(dimension for dimension in self._batch if dimension[0] in given)
        return compute_in_parts(self._execute, given, batch, self._profile)

    def _execute(self, tensors: Tensors) -> Any:
        # Contiguous copies must live until the engine was started.
        alive = {name: tensor.contiguous() for name, tensor in tensors.items()}
        for name, tensor in alive.items():
            if not self._context.set_input_shape(name, tuple(tensor.shape)):
                what = f"the engine was not built for {name} of shape {tuple(tensor.shape)}"
                raise HarnessError(what, "compiler", "Set dynamic=true, or one resolution.")
            self._context.set_tensor_address(name, tensor.data_ptr())
        shape = tuple(self._context.get_tensor_shape(self._output))
        output = torch.empty(shape, dtype=self._types[self._output], device="cuda")
        self._context.set_tensor_address(self._output, output.data_ptr())
        # TensorRT synchronises more often on the default stream, which torch uses.
        torchs = torch.cuda.current_stream()
        self._stream.wait_stream(torchs)
        if not self._context.execute_async_v3(self._stream.cuda_stream):
            raise HarnessError("the engine failed to run", "compiler", "See the cell's log.")
        torchs.wait_stream(self._stream)
        return output


def _to_torch_type(kind: Any) -> Any:
    words = {"FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16", "INT32": "int32"}
    return getattr(torch, {**words, "INT64": "int64", "BOOL": "bool"}[str(kind).rpartition(".")[2]])


def compute_in_parts(
    compute: Callable[[Tensors], torch.Tensor],
    tensors: Tensors,
    batch: tuple[Dimension, ...],
    profile: Profile,
) -> torch.Tensor:
    """Return the output of `compute` for all rows, in parts of `min_rows` to `max_rows` rows.

    `batch` is each tensor's batch dimension; tensors without one are passed whole. A batch within
    the limits is passed unchanged, so that no copy is timed.
    """
    name, axis = batch[0]
    rows, most = tensors[name].shape[axis], profile.max_rows
    if profile.min_rows <= rows <= most:
        return compute(tensors)
    outputs = []
    for begin in range(0, rows, most):
        end = min(begin + most, rows)
        missing = max(0, profile.min_rows - (end - begin))  # filled with copies of the last row
        chosen = torch.tensor([*range(begin, end), *[end - 1] * missing])
        part = {
            name: tensors[name].index_select(axis, chosen.to(tensors[name].device))
            for name, axis in batch
        }
        with region(f"rows {begin} to {end}"):
            outputs.append(compute({**tensors, **part})[: end - begin])
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)
