"""What cannot be is told by `harness plan`, both sides named; torch is out of reach, so before any time is spent."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders.lora_on_the_spot import write_denoiser, write_lora

MODEL = "bundled shapes model"
WRONG = [
    ('precision = "int8-torchao+modules=vae"', ["int8-torchao", f"{MODEL} has no Linear layer in its vae"]),
    ('precision = "int8-quanto+exclude=nothing*"', ["exclude=nothing*", f"{MODEL}'s denoiser"]),
    ('resolution = "36x36"', ["resolution 36x36", "multiples of 16", MODEL]),
    ('batch = 1024\nresolution = "16384x16384"', ["decoding 1024 images at once needs", "at least"]),
    ('distillation = "lora+weights={folder}/absent.safetensors"', ["there is no file", "absent.safetensors"]),
    ('distillation = "lora+weights={folder}/lora.safetensors"', ["lora.safetensors does not fit the", MODEL]),
    ('distillation = "unet+weights={folder}/unet.bin"', ["unet.bin does not fit the", MODEL]),
    ('caching = "deepcache"\ncompiler = "openvino"', ["compiler openvino and caching deepcache exclude each other"]),
    ('scheduler = "flow-euler"', ["scheduler flow-euler does not work with the", MODEL]),
    ('batch = "largest"\ncompiler = "inductor"', ["batch largest", "compiling each batch size"]),
    ('caching = "first-block"', ["caching first-block does not work with the", MODEL]),
]
PLAN = """
import sys
sys.modules["torch"] = None
from harness.cli.commands import app
app(["plan", sys.argv[1], "--json"])
"""


@pytest.fixture(scope="module")
def reasons(tiny: object, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the reason of every wrong cell, in the order of WRONG: each asks for a number of steps of its own."""
    folder = tmp_path_factory.mktemp("wrong")
    _write_weights(tiny("sd"), folder)  # type: ignore[operator]
    cells = [
        f"[[include]]\nsteps = {number}\n{body}".replace("{folder}", str(folder))
        for number, (body, _) in enumerate(WRONG, start=100)
    ]
    matrix = folder / "wrong.toml"
    matrix.write_text("\n".join(['name = "wrong"', "[axes]", "steps = [4]", *cells]), encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", PLAN, str(matrix)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    skips = {}
    for planned in json.loads(done.stdout)["cells"]:
        steps = next(setting["name"] for setting in planned["cell"]["settings"] if setting["axis"] == "steps")
        skips[steps] = str(planned["skip"])
    return [skips[str(number)] for number in range(100, 100 + len(WRONG))]


def _write_weights(model: Path, folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    write_lora(model, folder / "lora.safetensors")
    torch.save(load_file(write_denoiser(model, folder / "unet.safetensors")), folder / "unet.bin")


@pytest.mark.parametrize("number", range(len(WRONG)), ids=[body.split("\n")[0] for body, _ in WRONG])
def test_the_plan_says_what_cannot_be_and_why(number: int, reasons: list[str]) -> None:
    for words in WRONG[number][1]:
        assert words in reasons[number]
