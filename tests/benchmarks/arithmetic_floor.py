"""Operations of one denoiser pass of each shipped configuration, and the least a pass takes at a rate of products.

python -m tests.benchmarks.arithmetic_floor            # at the rate of this machine's bfloat16 products
python -m tests.benchmarks.arithmetic_floor 788e12     # at another's, such as an H200's
python -m tests.benchmarks.arithmetic_floor --quick    # of one configuration, at an H200's
"""

import argparse
from collections.abc import Callable
from typing import Any

from harness.measure.roofline import count_flops, measure_product_rate
from harness.models._configurations import find_configuration, read_configurations
from harness.models._folder import Folder

Config = dict[str, Any]

H200 = 788e12


def number(*shape: int) -> Any:
    import torch

    return torch.empty(shape, dtype=torch.bfloat16, device="meta")


def latents(config: Config) -> Config:
    side = config["sample_size"]
    return {"hidden_states": number(1, config["in_channels"], side, side), "timestep": number(1)}


def unet(config: Config) -> Config:
    given = latents(config)
    given["sample"] = given.pop("hidden_states")
    more = {"text_embeds": number(1, 1280), "time_ids": number(1, 6)}
    return {**given, "encoder_hidden_states": number(1, 77, config["cross_attention_dim"]), "added_cond_kwargs": more}


def flux(config: Config) -> Config:
    """1024×1024 pixels are 64×64 tokens; T5 gives 512."""
    return {
        "hidden_states": number(1, 64 * 64, config["in_channels"]), "encoder_hidden_states": number(1, 512, 4096),
        "pooled_projections": number(1, 768), "timestep": number(1), "img_ids": number(64 * 64, 3),
        "txt_ids": number(512, 3), "guidance": number(1) if config["guidance_embeds"] else None,
    }  # fmt: skip


def sd3(config: Config) -> Config:
    text = {"encoder_hidden_states": number(1, 77 + 256, 4096), "pooled_projections": number(1, 2048)}
    return latents(config) | text


def pixart(config: Config) -> Config:
    return latents(config) | {"encoder_hidden_states": number(1, 300, 4096), "added_cond_kwargs": {}}


def sana(config: Config) -> Config:
    return latents(config) | {"encoder_hidden_states": number(1, 300, 2304)}


INPUTS: dict[str, Callable[[Config], Config]] = {
    "UNet2DConditionModel": unet, "FluxTransformer2DModel": flux, "SD3Transformer2DModel": sd3,
    "PixArtTransformer2DModel": pixart, "SanaTransformer2DModel": sana,
}  # fmt: skip


def pass_flops(name: str) -> int:
    """Return the operations of one pass for one image of the model's own size, without guidance."""
    import diffusers
    import torch

    folder = Folder(find_configuration(name))
    config = folder.config("unet") or folder.config("transformer")
    with torch.device("meta"):
        network = getattr(diffusers, config["_class_name"]).from_config(config)
    torch.nn.Module.to(network, torch.bfloat16)
    given = INPUTS[config["_class_name"]](config)
    return count_flops(lambda: network(**given))


def main() -> None:
    parser = argparse.ArgumentParser(description="Operations of one denoiser pass of each shipped configuration.")
    parser.add_argument("rate", type=float, nargs="?", help="operations a second; left out: this machine's")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    rate = H200 if options.quick else options.rate or measure_product_rate("cpu", "bfloat16")
    print(f"at {rate / 1e12:.3g} TFLOP/s:")
    for name in ["sd15"] if options.quick else read_configurations():
        flops = pass_flops(name)
        print(f"{name:14s} {flops / 1e12:7.3f} TFLOP a pass, at least {flops / rate * 1e3:8.1f} ms")


if __name__ == "__main__":
    main()
