"""Stage 2: the attribute net, on renders that are blurred, noised or autoencoded."""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional as F

from harness import shapes_world as world
from harness.metrics.bundled.attributes import CLASSES, AttributeNet
from tools.training import data
from tools.training.schedule import Budget, Effort

EFFORT, POOL = Effort(steps=1200, minutes=10.0, batch=96, rate=2e-3), 24000


def compute_loss(logits: dict[str, Tensor], labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of all heads; empty slots (label -1) do not count."""
    losses = [
        F.cross_entropy(x, labels[:, i], ignore_index=world.NOTHING)
        for i, x in enumerate(logits.values())
    ]
    return torch.stack(losses).mean()


def disturb(images: Tensor) -> Tensor:
    """Blur a third of a batch in [0, 1]; add faint noise and brightness changes to all of it."""
    third = len(images) // 3
    blurred = F.avg_pool2d(F.pad(images[:third], (1, 1, 1, 1), mode="replicate"), 3, 1)
    images = torch.cat([blurred, images[third:]])
    strength = torch.rand(len(images), 1, 1, 1, device=images.device) * 0.06
    shift = (torch.rand(len(images), 3, 1, 1, device=images.device) - 0.5) * 0.06
    return (images + torch.randn_like(images) * strength + shift).clamp(0, 1)


@torch.no_grad()
def reconstruct(vae: AutoencoderKL, renders: np.ndarray, device: str) -> np.ndarray:
    """Return the images after the autoencoder: uint8 (count, height, width, 3)."""
    done = []
    for i in range(0, len(renders), 64):
        images = data.to_tensor(renders[i : i + 64]).to(device)
        done.append(data.to_images(vae.decode(vae.encode(images).latent_dist.sample()).sample))
    return np.concatenate(done)


def measure_accuracy(net: AttributeNet, renders: np.ndarray, labels: Tensor) -> dict[str, float]:
    """Return the share of correct labels per attribute, over the slots that contain an object."""
    device = next(net.parameters()).device
    net.eval()
    batches = [data.to_tensor(renders[i : i + 256]) / 2 + 0.5 for i in range(0, len(renders), 256)]
    predicted = torch.cat([net.predict(batch.to(device)).cpu() for batch in batches])
    right = {}
    for i, name in enumerate(CLASSES):
        filled = labels[:, i] != world.NOTHING
        right[name] = float((predicted[filled, i] == labels[filled, i]).float().mean())
    return right


def train(
    seed: int, device: str, vae: AutoencoderKL | None, effort: Effort = EFFORT
) -> AttributeNet:
    """Train the attribute net; given an autoencoder, on 1/8 reconstructed images."""
    torch.manual_seed(seed)
    renders, labels, _ = data.draw_examples(seed, POOL)
    if vae is not None:
        part = slice(0, POOL // 8)
        renders[part] = reconstruct(vae, renders[part], device)
    net = AttributeNet().to(device).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=effort.rate, weight_decay=1e-2)
    budget = Budget("attributes", effort)
    for step in budget.run(optimiser):
        pick = torch.randint(POOL, (effort.batch,))
        images = disturb((data.to_tensor(renders[pick.numpy()]) / 2 + 0.5).to(device))
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            logits = net(images)
        loss = compute_loss({k: v.float() for k, v in logits.items()}, labels[pick].to(device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if step % 100 == 0:
            print(f"attributes {step} {budget.seconds:.0f}s loss {loss.item():.4f}", flush=True)
    return net.eval()
