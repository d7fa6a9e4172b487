"""Stage 5: the UNet, v-prediction with zero terminal SNR on precomputed latents."""

from __future__ import annotations

import copy

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from tools.training.latents import Captions, Material, Pool
from tools.training.schedule import Budget, Effort

EFFORT = Effort(steps=60000, minutes=60.0, batch=64, rate=1e-3)
EMPTY, ZEROS = -2, -1  # rows of the empty caption and of zeros in Captions
LARGE_FROM, LARGE_SHARE = 0.4, 0.33  # after this progress, this share of the batches has 128 px
DECAY = 0.999
SHIFT = 2.0


def build() -> UNet2DConditionModel:
    """Return the untrained UNet, conditioned as SDXL's is."""
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=8,
        out_channels=8,
        block_out_channels=(96, 128),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        cross_attention_dim=128,
        attention_head_dim=4,  # diffusers' name for the number of heads
        transformer_layers_per_block=1,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=128 + 6 * 32,
        norm_num_groups=16,
    )


def make_betas() -> list[float]:
    """Return 1,000 betas: the signal falls as 1 - u**3 to zero, its power then counted SHIFT times.

    With 64 latents instead of the 4,096 of Stable Diffusion, the noise must be much weaker for a
    image to take shape at the same share of the steps; with Stable Diffusion's schedule, 4 steps
    look like 50.
    """
    amplitude = 1 - torch.arange(1, 1001, dtype=torch.float64).div(1000).pow(3)
    ratio = SHIFT * amplitude**2 / (1 - amplitude**2)
    signal = ratio / (1 + ratio)
    before = torch.cat([torch.ones(1, dtype=torch.float64), signal[:-1]])
    return [float(f"{beta:.7g}") for beta in (1 - signal / before).tolist()]


def build_scheduler() -> DDIMScheduler:
    """Return the scheduler of the pipeline, whose noise schedule is that of training."""
    return DDIMScheduler(
        trained_betas=make_betas(), prediction_type="v_prediction", rescale_betas_zero_snr=True,
        timestep_spacing="trailing", clip_sample=False, set_alpha_to_one=True,
    )  # fmt: skip


def make_time_ids(pixels: int, count: int, device: torch.device | str) -> Tensor:
    """Return SDXL's size conditioning (original, crop, target), float (count, 6)."""
    return (
        torch.tensor([[pixels, pixels, 0, 0, pixels, pixels]], device=device)
        .float()
        .repeat(count, 1)
    )


def draw_times(count: int, device: torch.device | str) -> Tensor:
    """Draw half of the times at random, few with little noise, half in the noisiest 30 %."""
    times = (1000 * torch.rand(count, device=device).sqrt()).long()
    times[: count // 2] = torch.randint(700, 1000, (count // 2,), device=device)
    return times


class Average:
    """Exponential moving average of a module's weights."""

    def __init__(self, module: nn.Module) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self.steps = 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move towards the module's weights."""
        self.steps += 1
        share = 1 - min(DECAY, (1 + self.steps) / (20 + self.steps))
        torch._foreach_lerp_(list(self.module.parameters()), list(module.parameters()), share)


def count_processes() -> tuple[int, int]:
    """Return how many processes train together, and the rank of this one."""
    if not torch.distributed.is_initialized():
        return 1, 0
    return torch.distributed.get_world_size(), torch.distributed.get_rank()


def average_gradients(module: nn.Module) -> None:
    """Average the gradients over all processes that train together."""
    if torch.distributed.is_initialized():
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        torch.distributed.all_reduce(flat)
        flat /= torch.distributed.get_world_size()
        for gradient, part in zip(
            gradients, flat.split([g.numel() for g in gradients]), strict=True
        ):
            gradient.copy_(part.view_as(gradient))


def draw_batch(pool: Pool, captions: Captions, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return latents, hidden states and pooled embeddings; a tenth without caption."""
    pick = torch.randint(len(pool.rows), (size,), device=pool.rows.device)
    rows = pool.rows[pick]
    chance = torch.rand(size, device=rows.device)
    rows = torch.where(
        chance < 0.10, len(captions.pooled) + torch.where(chance < 0.02, EMPTY, ZEROS), rows
    )
    return pool.latents[pick].float(), captions.hidden[rows].float(), captions.pooled[rows].float()


def train(
    seed: int, device: str, material: Material, effort: Effort = EFFORT
) -> UNet2DConditionModel:
    """Train the UNet on both image sizes and return its moving average."""
    torch.manual_seed(seed)
    unet = build().to(device).train()
    unet.set_attn_processor(
        AttnProcessor()
    )  # the fused kernel's backward is many times slower on a CPU
    parts, rank = count_processes()
    torch.manual_seed(seed + 1000 * rank)
    average, mean = Average(unet), 1.0
    signal = build_scheduler().alphas_cumprod.to(device)
    optimiser = torch.optim.AdamW(
        unet.parameters(), lr=effort.rate, betas=(0.9, 0.99), weight_decay=1e-2, fused=True
    )
    budget = Budget("unet", effort, warm_up=200)
    for step in budget.run(optimiser):
        large = budget.progress > LARGE_FROM and step % round(1 / LARGE_SHARE) == 0
        pool = material.pools[large]
        clean, hidden, pooled = draw_batch(
            pool, material.captions, effort.batch // (4 if large else 1) // parts
        )
        times, noise = draw_times(len(clean), device), torch.randn_like(clean)
        a = signal[times].view(-1, 1, 1, 1)
        added = {"text_embeds": pooled, "time_ids": make_time_ids(pool.pixels, len(clean), device)}
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            noisy = a.sqrt() * clean + (1 - a).sqrt() * noise
            out = unet(noisy, times, hidden, added_cond_kwargs=added).sample
        loss = (out.float() - (a.sqrt() * noise - (1 - a).sqrt() * clean)).pow(2).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(unet)
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimiser.step()
        average.update(unet)
        mean = loss.item() if step == 0 else 0.99 * mean + 0.01 * loss.item()
        if step % 100 == 0:
            print(f"unet {step} {budget.seconds:.0f}s loss {mean:.4f}", flush=True)
    return average.module
