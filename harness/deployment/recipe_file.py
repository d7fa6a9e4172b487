"""The text of a cell's standalone file."""

import re
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from textwrap import indent

from harness.core.recipe import RecipeLines, read_source
from harness.deployment.recipe_parts import MODEL_FOLDER, RecipeParts
from harness.deployment.text import list_costs
from harness.results import CellResult

SIGNATURE = "Written by harness recipe"
NEEDED = ("torch", "diffusers", "transformers", "accelerate", "safetensors", "pillow")
_GENERATE = ("return draw(pipe, make_arguments(prompts, seeds, negatives))",)


def write_recipe(cell: CellResult, parts: RecipeParts, target: Path, server: bool) -> str:
    """Return the file of a cell; `target` is where it will be, `server` adds a FastAPI app."""
    lines = [own for _, own in parts.values]
    names = {
        "header": _write_header(cell, lines, server),
        "imports": "\n".join(_sort_imports(cell, parts, lines, server)),
        "constants": _write_constants(cell, parts, lines, target),
        "definitions": "".join(f"\n\n{text}\n" for text in _join(o.definitions for o in lines)),
        "seed": "\n".join(read_source("harness.models._pipeline", "derive_seed")).replace(
            "def derive_seed", "def run_seed"
        ),
        "build": _write_build(parts, lines),
        "call": _write_call(parts, lines),
        "latents": _write_draw_latents(cell),
        "noise": _indent(("scale = pipe.vae_scale_factor", *parts.family.noise)),
        "generate": _indent(next((o.generate for o in lines if o.generate), _GENERATE)),
    }
    text = _fill("recipe.py.txt", names)
    return text + (_fill("server.py.txt", {}) if server else "")


def _fill(template: str, names: dict[str, str]) -> str:
    """Return a shipped template with its `{{name}}` replaced."""
    text = (files("harness.deployment") / "templates" / template).read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: names[found[1]], text)


def _join(texts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Return all texts in order, each once."""
    return tuple(dict.fromkeys(text for part in texts for text in part))


def _indent(lines: Iterable[str]) -> str:
    return indent("\n".join(lines), "    ")


def _write_header(cell: CellResult, lines: list[RecipeLines], server: bool) -> str:
    run = cell.run
    packages = run.plan.machine.packages
    extra = ("fastapi", "uvicorn") if server else ()
    wanted = [*NEEDED, *_join(own.packages for own in lines), *extra]
    needs = " ".join(f"{n}=={packages[n]}" if n in packages else n for n in dict.fromkeys(wanted))
    verdict = f"{cell.standing} ({cell.reason})".replace("\\", "/").replace('"""', "'''")
    costs = "".join(f"\n  {text}" for text in list_costs(cell))
    return (
        f"{cell.id}: {run.plan.model.title}.\n\n"
        f"Verdict: {verdict}, policy {run.policy.name}.{costs}\n"
        f"Measured in run {run.plan.run_id} on {run.plan.machine.title}.\n"
        f"{SIGNATURE}; it does not need harness.\n\n"
        f"pip install {needs}"
    )


def _sort_imports(
    cell: CellResult, parts: RecipeParts, lines: list[RecipeLines], server: bool
) -> list[str]:
    found = {
        "import hashlib", "from pathlib import Path", "from typing import Any", "import torch",
        f"from diffusers import {parts.family.pipeline}",
        *_join(own.imports for own in lines),
    }  # fmt: skip
    found |= {"import numpy"} if cell.run.plan.get_latent(cell.planned) else set()
    if server:
        found |= {
            "import asyncio", "import io", "from contextlib import asynccontextmanager",
            "from fastapi import FastAPI, Response", "from pydantic import BaseModel",
        }  # fmt: skip
    return sorted(found, key=lambda line: (line.startswith("from"), line))


def _write_constants(
    cell: CellResult, parts: RecipeParts, lines: list[RecipeLines], target: Path
) -> str:
    dtype = next((own.dtype for own in lines if own.dtype), "float32")
    call = parts.context.call
    folder = f"{target.with_suffix('').name}-model"
    here, model = "", repr(parts.model.place)
    if parts.model.copied:
        here = f"HERE = Path(__file__).resolve().with_name({folder!r})\n"
        model = f"str(HERE / {MODEL_FOLDER!r})"
    batch = next((own.batch for own in lines if own.batch), 1)
    latent = cell.run.plan.get_latent(cell.planned)
    return "".join((
        here,
        f"MODEL = {model}\n",
        f'DEVICE = "{parts.context.device}"\n',
        f"DTYPE = torch.{dtype}\n",
        f"WIDTH, HEIGHT = {int(call['width'])}, {int(call['height'])}\n",
        f"BATCH = {batch}  # images of a timed call\n",
        f"PADS = {any(own.pads for own in lines)}  # whether other batch sizes compile again\n",
        f"GUIDED = {_is_guided(parts)}  # whether negative prompts count\n",
        f"LATENT = {latent.path!r}  # noise that every image starts from\n" if latent else "",
        "HOOKS: list[Any] = []\n",
        '"""Functions that change the arguments of every call."""',
    ))  # fmt: skip


def _is_guided(parts: RecipeParts) -> bool:
    return parts.family.negatives and parts.context.call["guidance"] > 1


def _write_build(parts: RecipeParts, lines: list[RecipeLines]) -> str:
    """Return the body of `build`: what comes before loading, the load, and each value's lines."""
    found = list(_join(own.before for own in lines))
    found += _write_load(parts, lines)
    found.append("pipe.set_progress_bar_config(disable=True)")
    for setting, own in parts.values:
        if own.build:
            found += [f"# {setting.axis}: {setting}", *own.build]
    return _indent(found)


def _write_load(parts: RecipeParts, lines: list[RecipeLines]) -> list[str]:
    arguments = {"dtype": "DTYPE"}
    if parts.model.copied or Path(parts.model.place).is_absolute():
        arguments["local_files_only"] = "True"
    arguments |= {**parts.family.load, **parts.model.arguments}
    place = next((f'"{own.place}"' for own in lines if own.place), "DEVICE")
    listed = [f"    {name}={value}," for name, value in arguments.items()]
    made = f"pipe = {parts.family.pipeline}.{parts.model.method}("
    return [made, "    MODEL,", *listed, f").to({place})"]


def _write_call(parts: RecipeParts, lines: list[RecipeLines]) -> str:
    named = {name: value for own in lines for name, value in own.call.items()}
    named |= parts.family.call
    return "".join(f'        "{name}": {value},\n' for name, value in named.items()).rstrip("\n")


def _write_draw_latents(cell: CellResult) -> str:
    """Return the body of `draw_latents`: fresh noise, or the file's for every image."""
    if cell.run.plan.get_latent(cell.planned):
        return (
            "    fixed = torch.as_tensor(numpy.load(LATENT), dtype=torch.float32)\n"
            "    return fixed.expand(len(generators), *shape).clone()"
        )
    return "    return torch.stack([torch.randn(shape, generator=source) for source in generators])"
