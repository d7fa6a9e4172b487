"""The training data of the UNet: latents of images and embeddings of their captions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from tqdm import tqdm
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from harness import shapes_world as world
from tools.training import data, tokens


@dataclass
class Captions:
    """Embeddings of a list of captions; the last two rows are the empty caption and zeros."""

    hidden: Tensor  # (captions + 2, tokens, width), float16
    pooled: Tensor  # (captions + 2, width), float16
    row: dict[str, int]


@dataclass
class Pool:
    """Latents of images of one size with the row of each caption."""

    pixels: int
    latents: Tensor  # (count, channels, pixels / 8, pixels / 8), float16
    rows: Tensor  # (count,)


@dataclass(frozen=True)
class Material:
    """Pools of small and of large images, with the captions that their rows point into."""

    pools: tuple[Pool, Pool]
    captions: Captions


@torch.no_grad()
def embed(
    texts: list[str], tokenizer: CLIPTokenizer, tower: CLIPTextModelWithProjection, device: str
) -> Captions:
    """Embed captions as the pipeline does: penultimate hidden states and projected pooled state."""
    hidden, pooled = [], []
    texts = [*texts, ""]
    for i in tqdm(range(0, len(texts), 512), desc="captions", mininterval=10):
        batch = tokenizer(
            texts[i : i + 512],
            padding="max_length",
            max_length=tokens.LENGTH,
            truncation=True,
            return_tensors="pt",
        )
        out = tower(batch.input_ids.to(device), output_hidden_states=True)
        hidden.append(out.hidden_states[-2].half())
        pooled.append(out.text_embeds.half())
    states, vectors = torch.cat(hidden), torch.cat(pooled)
    states, vectors = (torch.cat([x, torch.zeros_like(x[:1])]) for x in (states, vectors))
    return Captions(states, vectors, {text: i for i, text in enumerate(texts)})


@torch.no_grad()
def encode(vae: AutoencoderKL, seed: int, count: int, pixels: int, row: dict[str, int]) -> Pool:
    """Draw images and return their latents (posterior means)."""
    done, rows = [], []
    for i in tqdm(range(0, count, 1000), desc=f"latents {pixels} px", mininterval=10):
        renders, _, captions = data.draw_examples(
            seed * 1_000_003 + i, min(1000, count - i), pixels=pixels
        )
        for j in range(0, len(renders), 50):
            images = data.to_tensor(renders[j : j + 50]).to(vae.device)
            done.append(vae.encode(images).latent_dist.mean.half())
        rows += [row[caption] for caption in captions]
    return Pool(pixels, torch.cat(done), torch.tensor(rows, device=vae.device))


@torch.no_grad()
def standardise(vae: AutoencoderKL, seed: int) -> AutoencoderKL:
    """Scale and shift the latents inside the autoencoder to mean 0 and deviation 1 per channel."""
    pool = encode(vae, seed, 2000, world.UNIT, _AnyRow())
    values = pool.latents.float().transpose(0, 1).flatten(1)
    mean, deviation = values.mean(1), values.std(1)
    channels = len(mean)
    enter, leave = vae.quant_conv, vae.post_quant_conv
    leave.bias += leave.weight.flatten(1) @ mean
    leave.weight *= deviation[None, :, None, None]
    enter.bias[:channels] = (enter.bias[:channels] - mean) / deviation
    enter.weight[:channels] /= deviation[:, None, None, None]
    enter.bias[channels:] -= 2 * deviation.log()
    vae.register_to_config(scaling_factor=1.0, force_upcast=False)
    return vae


class _AnyRow(dict[str, int]):
    """Maps every caption to row 0."""

    def __missing__(self, key: str) -> int:
        return 0
