"""Stage 1: the autoencoder, 64 px to latents of 8 x 8 with 8 channels."""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from tools.training import data
from tools.training.schedule import Budget, Effort

EFFORT = Effort(steps=5000, minutes=9.5, batch=16, rate=1.5e-3)
KL_WEIGHT, OBJECT_WEIGHT = 1e-3, 4.0


def build() -> AutoencoderKL:
    """Return the untrained autoencoder."""
    vae = AutoencoderKL(
        block_out_channels=(16, 32, 64, 96),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=8,
        norm_num_groups=2,
        sample_size=64,
        mid_block_add_attention=False,
    )
    with torch.no_grad():  # begin with little noise on the latents, or colours are learned slowly
        vae.quant_conv.weight[8:] = 0
        vae.quant_conv.bias[8:] = -4
    return vae


def recolour(images: Tensor) -> Tensor:
    """Permute and negate the colour channels of half a batch, so that colour is learned early."""
    half = len(images) // 2
    signs = torch.randint(0, 2, (half, 3, 1, 1), device=images.device) * 2 - 1
    turned = images[:half, torch.randperm(3, device=images.device)] * signs
    return torch.cat([turned, images[half:]])


def compute_loss(vae: AutoencoderKL, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the training loss, which weights objects above background, and the squared error."""
    posterior = vae.encode(images).latent_dist
    out = vae.decode(posterior.sample()).sample
    error = out - images
    weight = 1 + OBJECT_WEIGHT * ((images - images[:, :, :1, :1]).abs().sum(1, keepdim=True) > 0.1)
    edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    divergence = posterior.kl().mean() / images[0].numel()
    pixels = (weight * (error.abs() + error.pow(2))).mean()
    return pixels + edges + KL_WEIGHT * divergence, error.detach().pow(2).mean()


def train(seed: int, device: str, effort: Effort = EFFORT) -> AutoencoderKL:
    """Train the autoencoder on 64-px images and 64-px crops of 128-px ones."""
    torch.manual_seed(seed)
    whole, _, _ = data.draw_examples(seed, 16000)
    wide, _, _ = data.draw_examples(seed + 1, 4000, pixels=128)
    vae = build().to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(
        vae.parameters(), lr=effort.rate, betas=(0.9, 0.99), weight_decay=1e-4
    )
    budget = Budget("vae", effort)
    rng = np.random.default_rng(seed)
    mean = 0.0
    for step in budget.run(optimiser):
        y, x = rng.integers(0, 65, 2)
        crops = wide[rng.integers(0, len(wide), effort.batch // 4), y : y + 64, x : x + 64]
        batch = np.concatenate(
            [whole[rng.integers(0, len(whole), effort.batch - len(crops))], crops]
        )
        images = data.to_tensor(batch).to(device, memory_format=torch.channels_last)
        loss, squared = compute_loss(vae, recolour(images))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
        mean = squared.item() if step == 0 else 0.97 * mean + 0.03 * squared.item()
        if step % 50 == 0:
            psnr = 10 * np.log10(4 / mean)
            print(
                f"vae {step} {budget.seconds:.0f}s loss {loss.item():.4f} psnr {psnr:.2f}",
                flush=True,
            )
    return vae
