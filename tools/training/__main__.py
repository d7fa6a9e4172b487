"""`python -m tools.training` rebuilds the bundled model from its seed.

`... learned` prints its accuracy; `... prompts` writes the large prompt set.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from harness import shapes_world as world
from harness.metrics.bundled import attributes as attribute_net
from harness.metrics.bundled import clip as clip_net
from harness.models import shapes
from tools.training import (
    attributes,
    clip,
    latents,
    lcm,
    learned,
    pipeline,
    prompts,
    text,
    tokens,
    unet,
    vae,
)


def save_net(net: nn.Module, path: Path) -> None:
    """Write a net's weights as float16 safetensors."""
    weights = {k: v.half() if v.is_floating_point() else v for k, v in net.state_dict().items()}
    save_file({k: v.contiguous() for k, v in weights.items()}, path)


def rebuild(seed: int, device: str, speed: float) -> None:
    """Train every stage and write its weights into the package; speed > 1 shortens each stage."""
    folder = shapes.PIPELINE
    coder = vae.train(seed, device, vae.EFFORT.share(1 / speed)).eval()
    coder = latents.standardise(coder, seed + 1)
    save_net(
        attributes.train(seed + 2, device, coder, attributes.EFFORT.share(1 / speed)),
        attribute_net.WEIGHTS,
    )
    save_net(clip.train(seed + 3, device, clip.EFFORT.share(1 / speed)), clip_net.WEIGHTS)
    tokenizer = tokens.build(folder / "tokenizer_2")
    tower = text.train(seed + 4, device, tokenizer, text.EFFORT.share(1 / speed))
    every = [scene.caption for group in world.scenes() for scene in group]
    embedded = latents.embed(every, tokenizer, tower, device)
    small = latents.encode(coder, seed + 5, 40000, world.UNIT, embedded.row)
    large = latents.encode(coder, seed + 6, 5000, 2 * world.UNIT, embedded.row)
    material = latents.Material((small, large), embedded)
    denoiser = unet.train(seed + 7, device, material, unet.EFFORT.share(1 / speed))
    pipeline.save(pipeline.assemble(coder, tower, tokenizer, denoiser), folder)
    lcm.train(seed + 8, denoiser, material, shapes.LCM_LORA, lcm.EFFORT.share(1 / speed))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.training", description=__doc__)
    parser.add_argument(
        "what", nargs="?", choices=("rebuild", "learned", "prompts"), default="rebuild"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="divide every stage's minutes by this"
    )
    parser.add_argument("--captions", type=int, default=512)
    parser.add_argument("--grid", type=Path, help="also write the image grid to this PNG")
    given = parser.parse_args()
    if given.what == "rebuild":
        rebuild(given.seed, given.device, given.speed)
    elif given.what == "prompts":
        prompts.write(given.seed)
    else:
        print(learned.report(given.captions, given.device, given.grid))


if __name__ == "__main__":
    main()
