"""Stage 6: an LCM-LoRA by consistency distillation of the UNet, its guidance folded in."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import Tensor

from harness.training.latents import Captions, Pool
from harness.training.schedule import Budget
from harness.training.unet import scheduler, time_ids

STEPS, MINUTES, BATCH, RANK = 12000, 20.0, 64, 48
GRID = 50  # points of the solver, as many as the steps that LCMScheduler starts from
TARGETS = (
    "to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out",
    "conv1", "conv2", "conv_shortcut", "time_emb_proj", "conv",
)  # fmt: skip
DECAY = 0.98


class Distiller:
    """Teacher, student and the moving average of the student that gives the targets."""

    def __init__(self, unet: UNet2DConditionModel, device: str, guidance: float) -> None:
        self.teacher = unet.to(device).requires_grad_(False).eval()
        self.student = copy.deepcopy(self.teacher)
        config = LoraConfig(r=RANK, lora_alpha=RANK, init_lora_weights="gaussian", target_modules=list(TARGETS))
        self.student.add_adapter(config)
        self.target = copy.deepcopy(self.student).requires_grad_(False)
        self.guidance, self.device = guidance, device
        self.signal = scheduler().alphas_cumprod.to(device)

    @property
    def weights(self) -> list[Tensor]:
        """The trainable LoRA weights."""
        return [p for p in self.student.parameters() if p.requires_grad]

    def clean(self, unet: UNet2DConditionModel, noisy: Tensor, times: Tensor, words: tuple[Tensor, Tensor],
              guidance: float = 1.0) -> Tensor:  # fmt: skip
        """The clean latents that a UNet predicts, optionally with guidance against no caption."""
        count, pixels = len(noisy), noisy.shape[-1] * 8
        hidden, pooled = words
        inputs, at = noisy, times
        if guidance != 1:
            hidden, pooled = (torch.cat([torch.zeros_like(x), x]) for x in words)
            inputs, at = torch.cat([noisy, noisy]), torch.cat([times, times])
        added = {"text_embeds": pooled, "time_ids": time_ids(pixels, len(inputs), self.device)}
        with torch.autocast(torch.device(self.device).type, torch.bfloat16):
            v = unet(inputs, at, hidden, added_cond_kwargs=added).sample
        v = v.float()
        if guidance != 1:
            v = v[:count] + guidance * (v[count:] - v[:count])
        a = self.signal[times].view(-1, 1, 1, 1)
        return a.sqrt() * noisy - (1 - a).sqrt() * v

    @torch.no_grad()
    def goal(self, noisy: Tensor, times: Tensor, words: tuple[Tensor, Tensor]) -> Tensor:
        """Where the student should point: the averaged student's answer one guided DDIM step further on."""
        clean = self.clean(self.teacher, noisy, times, words, self.guidance)
        a = self.signal[times].view(-1, 1, 1, 1)
        noise = (noisy - a.sqrt() * clean) / (1 - a).sqrt()
        after = times - 1000 // GRID
        b = torch.where(after >= 0, self.signal[after.clamp(min=0)], torch.ones_like(a.flatten())).view(-1, 1, 1, 1)
        further = b.sqrt() * clean + (1 - b).sqrt() * noise
        told = self.clean(self.target, further, after.clamp(min=0), words)
        return torch.where((after < 0).view(-1, 1, 1, 1), clean, told)

    def loss(self, pool: Pool, captions: Captions, size: int) -> Tensor:
        """Pseudo-Huber distance between the student's answer and its goal on random examples."""
        pick = torch.randint(len(pool.rows), (size,), device=self.device)
        latents, rows = pool.latents[pick].float(), pool.rows[pick]
        words = captions.hidden[rows].float(), captions.pooled[rows].float()
        point = torch.randint(1, GRID + 1, (size,), device=self.device)
        point[: size // 4] = GRID  # pure noise is the hardest, and every sample starts there
        times = point * (1000 // GRID) - 1
        a = self.signal[times].view(-1, 1, 1, 1)
        noisy = a.sqrt() * latents + (1 - a).sqrt() * torch.randn_like(latents)
        error = self.clean(self.student, noisy, times, words) - self.goal(noisy, times, words)
        return ((error.pow(2) + 0.01).sqrt() - 0.1).mean()

    @torch.no_grad()
    def follow(self, decay: float = DECAY) -> None:
        """Move the target towards the student."""
        ours = [q for p, q in zip(self.student.parameters(), self.target.parameters(), strict=True) if p.requires_grad]
        torch._foreach_lerp_(ours, self.weights, 1 - decay)

    def save(self, folder: Path) -> None:
        """Write the averaged LoRA in float16 where `load_lora_weights` finds it."""
        layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(self.target))
        layers = {name: value.half().contiguous() for name, value in layers.items()}
        StableDiffusionXLPipeline.save_lora_weights(folder, unet_lora_layers=layers)


def train(seed: int, device: str, unet: UNet2DConditionModel, pools: tuple[Pool, Pool], captions: Captions,
          guidance: float, folder: Path, steps: int = STEPS, minutes: float = MINUTES,
          rate: float = 5e-4) -> None:  # fmt: skip
    """Distil the UNet into a LoRA and save it; one batch in eight has 128 px."""
    torch.manual_seed(seed)
    distiller = Distiller(unet, device, guidance)
    optimiser = torch.optim.AdamW(distiller.weights, lr=rate, betas=(0.9, 0.99), weight_decay=0.0)
    budget = Budget("lcm-lora", steps, minutes)
    mean, saved = 0.0, 0.0
    for step in budget.run(optimiser):
        large = step % 8 == 7
        loss = distiller.loss(pools[large], captions, BATCH // 4 if large else BATCH)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(distiller.weights, 1.0)
        optimiser.step()
        distiller.follow()
        mean = loss.item() if step == 0 else 0.98 * mean + 0.02 * loss.item()
        if step % 100 == 0:
            print(f"lcm {step} {budget.seconds:.0f}s loss {mean:.4f}", flush=True)
        if budget.seconds - saved > 120:
            saved = budget.seconds
            distiller.save(folder)
    distiller.save(folder)
