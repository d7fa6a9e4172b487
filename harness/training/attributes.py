"""Stage 2: the attribute net, on real renders blurred, noised and passed through the autoencoder."""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional as F

from harness import shapes_world as world
from harness.metrics.bundled.attributes import CLASSES, AttributeNet
from harness.training import data
from harness.training.schedule import Budget, Effort

EFFORT, POOL = Effort(steps=1200, minutes=10.0, batch=96, rate=2e-3), 24000


def loss_of(logits: dict[str, Tensor], labels: Tensor) -> Tensor:
    """Mean cross-entropy of all heads; empty slots (label -1) do not count."""
    losses = [F.cross_entropy(x, labels[:, i], ignore_index=world.NOTHING) for i, x in enumerate(logits.values())]
    return torch.stack(losses).mean()


def disturb(images: Tensor) -> Tensor:
    """Blur a third of a batch in [0, 1] slightly and add faint noise and brightness changes to all of it."""
    third = len(images) // 3
    blurred = F.avg_pool2d(F.pad(images[:third], (1, 1, 1, 1), mode="replicate"), 3, 1)
    images = torch.cat([blurred, images[third:]])
    strength = torch.rand(len(images), 1, 1, 1, device=images.device) * 0.06
    shift = (torch.rand(len(images), 3, 1, 1, device=images.device) - 0.5) * 0.06
    return (images + torch.randn_like(images) * strength + shift).clamp(0, 1)


@torch.no_grad()
def reconstruct(vae: AutoencoderKL, pictures: np.ndarray, device: str) -> np.ndarray:
    """Pictures as the autoencoder gives them back: uint8 (count, height, width, 3)."""
    done = []
    for i in range(0, len(pictures), 64):
        images = data.to_tensor(pictures[i : i + 64]).to(device)
        done.append(data.to_pictures(vae.decode(vae.encode(images).latent_dist.sample()).sample))
    return np.concatenate(done)


def accuracy(net: AttributeNet, pictures: np.ndarray, labels: Tensor) -> dict[str, float]:
    """Share of right answers per attribute, over the slots that hold an object."""
    device = next(net.parameters()).device
    net.eval()
    batches = [data.to_tensor(pictures[i : i + 256]) / 2 + 0.5 for i in range(0, len(pictures), 256)]
    told = torch.cat([net.predict(batch.to(device)).cpu() for batch in batches])
    right = {}
    for i, name in enumerate(CLASSES):
        there = labels[:, i] != world.NOTHING
        right[name] = float((told[there, i] == labels[there, i]).float().mean())
    return right


def train(seed: int, device: str, vae: AutoencoderKL | None, effort: Effort = EFFORT) -> AttributeNet:
    """Train the attribute net; with an autoencoder, an eighth of the pictures are its reconstructions."""
    torch.manual_seed(seed)
    pictures, labels, _ = data.examples(seed, POOL)
    if vae is not None:
        part = slice(0, POOL // 8)
        pictures[part] = reconstruct(vae, pictures[part], device)
    net = AttributeNet().to(device).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=effort.rate, weight_decay=1e-2)
    budget = Budget("attributes", effort)
    for step in budget.run(optimiser):
        pick = torch.randint(POOL, (effort.batch,))
        images = disturb((data.to_tensor(pictures[pick.numpy()]) / 2 + 0.5).to(device))
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            logits = net(images)
        loss = loss_of({k: v.float() for k, v in logits.items()}, labels[pick].to(device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if step % 100 == 0:
            print(f"attributes {step} {budget.seconds:.0f}s loss {loss.item():.4f}", flush=True)
    return net.eval()
