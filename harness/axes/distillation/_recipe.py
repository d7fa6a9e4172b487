"""Source that loads few-step weights in a file without harness."""

from pathlib import Path

from harness.axes.distillation._weights import Student
from harness.core.parsing import expand_user
from harness.core.recipe import RecipeContext, RecipeLines


def write_student(student: Student, path: Path, fuse: bool, context: RecipeContext) -> RecipeLines:
    """Return the lines that load the weights in a file, with the settings they were trained for."""
    build: list[str] = []
    if student.prediction:
        build += [
            "scheduler = type(pipe.scheduler)",
            "pipe.scheduler = scheduler.from_config(",
            f"    pipe.scheduler.config, prediction_type={student.prediction!r}",
            ")",
        ]
    hook = _fix_timesteps(student, context.steps)
    build += ["HOOKS.append(fix_timesteps)"] if hook else []
    if student.kind == "lora":
        place, name = _find_place(student, path)
        build += write_lora(repr(place), repr(name), student.scale, fuse)
        return RecipeLines(imports=hook[:1], definitions=hook[1:], build=tuple(build))
    imports, lines = _load_denoiser(student, path, context.denoiser)
    imports = (*hook[:1], *imports)
    return RecipeLines(imports=imports, definitions=hook[1:], build=(*build, *lines))


def write_lora(place: str, name: str, scale: float, fuse: bool) -> tuple[str, ...]:
    """Return the lines that load a LoRA from a folder or hub id and a file name, as source text."""
    named = "" if name == "None" else f", weight_name={name}"
    lines = (
        f'pipe.load_lora_weights({place}{named}, adapter_name="distillation")',
        f'pipe.set_adapters(["distillation"], [{scale!r}])',
    )
    if not fuse:
        return lines
    fused = "pipe.fuse_lora(lora_scale=1.0)  # set_adapters has set the scale"
    return (*lines, fused, "pipe.unload_lora_weights()")


def _find_place(student: Student, path: Path) -> tuple[str, str]:
    """Return the folder or hub id of a LoRA, and its file's name in it."""
    if expand_user(student.repo).exists():
        return str(path.parent), path.name
    inside = next(name for name in student.files if Path(name).name == path.name)
    return student.repo, inside


def _load_denoiser(
    student: Student, path: Path, denoiser: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the imports and the lines that replace the denoiser's weights."""
    is_local = expand_user(student.repo).exists()
    place = repr(str(path))
    imports: tuple[str, ...] = ()
    if not is_local:
        inside = next(name for name in student.files if path.as_posix().endswith(name))
        place = f"hf_hub_download({student.repo!r}, {inside!r})"
        imports = ("from huggingface_hub import hf_hub_download",)
    if path.suffix == ".safetensors":
        read, imports = f"load_file({place})", (*imports, "from safetensors.torch import load_file")
    else:
        read = f'torch.load({place}, map_location="cpu", weights_only=True)'
    return imports, (f"{denoiser}.load_state_dict({read})",)


def _fix_timesteps(student: Student, steps: int) -> tuple[str, ...]:
    """Return an import and a hook that passes the weights' timesteps; empty if they do not fit."""
    if not student.timesteps or len(student.timesteps) != steps:
        return ()
    function = (
        "def fix_timesteps(pipe, call, arguments):",
        '    """Return the arguments with the timesteps that the weights were trained for."""',
        "    parameters = inspect.signature(pipe.scheduler.set_timesteps).parameters",
        '    if "timesteps" in parameters and "image" not in arguments:',
        f'        if arguments["num_inference_steps"] == {len(student.timesteps)}:',
        f'            return {{**arguments, "timesteps": {list(student.timesteps)}}}',
        "    return arguments",
    )
    return "import inspect", "\n".join(function)
