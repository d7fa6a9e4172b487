"""Stage 6: an LCM-LoRA by consistency distillation of the UNet, its guidance folded in.

Half of each batch is consistency distillation on noised images; the other half takes the
student's four steps and regresses each onto the teacher's final latents from the same noise.
"""

from __future__ import annotations

import copy
import time
from pathlib import Path

import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import Tensor

from harness.models import shapes
from tools.training.latents import Captions, Material, Pool
from tools.training.schedule import Budget, Effort
from tools.training.unet import average_gradients, build_scheduler, count_processes, make_time_ids

EFFORT, RANK = Effort(steps=12000, minutes=17.0, batch=64, rate=5e-4), 32
GRID = 50  # times at which the student is trained, those that LCMScheduler picks its steps from
STRIDE = (
    4  # grid points that one step of the teacher's solver covers: a chain of 12 steps, not of 50
)
JOURNEY, JOURNEY_SHARE = 15, 0.18  # steps of the teacher's journeys, and their share of the minutes
FOUR = (
    50,
    38,
    25,
    13,
)  # the grid points that LCMScheduler takes for 4 steps: t = 999, 759, 499, 259
TARGETS = (
    "to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out",
    "conv1", "conv2", "conv_shortcut", "time_emb_proj", "conv",
)  # fmt: skip
DECAY = 0.95


def mean_huber(error: Tensor) -> Tensor:
    """Return the mean pseudo-Huber norm of an error."""
    return ((error.pow(2) + 0.01).sqrt() - 0.1).mean()


class Distiller:
    """Teacher, student and the moving average of the student that gives the targets."""

    def __init__(self, unet: UNet2DConditionModel, guidance: float) -> None:
        self.teacher = unet.requires_grad_(False).eval()
        self.teacher.set_attn_processor(
            AttnProcessor()
        )  # the fused kernel's backward is slow on a CPU
        self.student = copy.deepcopy(self.teacher)
        config = LoraConfig(
            r=RANK, lora_alpha=RANK, init_lora_weights="gaussian", target_modules=list(TARGETS)
        )
        self.student.add_adapter(config)
        self.target = copy.deepcopy(self.student).requires_grad_(False)
        self.guidance, self.device = guidance, unet.device
        self.signal = build_scheduler().alphas_cumprod.to(self.device)

    @property
    def weights(self) -> list[Tensor]:
        """The trainable LoRA weights."""
        return [p for p in self.student.parameters() if p.requires_grad]

    def predict_clean(
        self,
        unet: UNet2DConditionModel,
        noisy: Tensor,
        times: Tensor,
        words: tuple[Tensor, Tensor],
        guidance: float = 1.0,
    ) -> Tensor:
        """Return the clean latents that a UNet predicts, with classifier-free guidance if not 1."""
        count, pixels = len(noisy), noisy.shape[-1] * 8
        hidden, pooled = words
        inputs, at = noisy, times
        if guidance != 1:
            hidden, pooled = (torch.cat([torch.zeros_like(x), x]) for x in words)
            inputs, at = torch.cat([noisy, noisy]), torch.cat([times, times])
        added = {"text_embeds": pooled, "time_ids": make_time_ids(pixels, len(inputs), self.device)}
        with torch.autocast(self.device.type, torch.bfloat16):
            v = unet(inputs, at, hidden, added_cond_kwargs=added).sample
        v = v.float()
        if guidance != 1:
            v = v[:count] + guidance * (v[count:] - v[:count])
        a = self.signal[times].view(-1, 1, 1, 1)
        return a.sqrt() * noisy - (1 - a).sqrt() * v

    @torch.no_grad()
    def compute_target(self, noisy: Tensor, times: Tensor, words: tuple[Tensor, Tensor]) -> Tensor:
        """Return the target: the prediction of the averaged student after one guided DDIM step."""
        clean = self.predict_clean(self.teacher, noisy, times, words, self.guidance)
        a = self.signal[times].view(-1, 1, 1, 1)
        noise = (noisy - a.sqrt() * clean) / (1 - a).sqrt()
        after = times - STRIDE * 1000 // GRID
        b = torch.where(
            after >= 0, self.signal[after.clamp(min=0)], torch.ones_like(a.flatten())
        ).view(-1, 1, 1, 1)
        further = b.sqrt() * clean + (1 - b).sqrt() * noise
        predicted = self.predict_clean(self.target, further, after.clamp(min=0), words)
        return torch.where((after < 0).view(-1, 1, 1, 1), clean, predicted)

    def compute_loss(self, pool: Pool, captions: Captions, size: int) -> Tensor:
        """Return the pseudo-Huber distance between prediction and target on random examples."""
        pick = torch.randint(len(pool.rows), (size,), device=self.device)
        latents, rows = pool.latents[pick].float(), pool.rows[pick]
        words = captions.hidden[rows].float(), captions.pooled[rows].float()
        point = torch.randint(1, GRID + 1, (size,), device=self.device)
        half = torch.randint(len(FOUR), (size // 2,), device=self.device)
        point[: size // 2] = torch.tensor(FOUR, device=self.device)[half]
        times = point * (1000 // GRID) - 1
        a = self.signal[times].view(-1, 1, 1, 1)
        noisy = a.sqrt() * latents + (1 - a).sqrt() * torch.randn_like(latents)
        return mean_huber(
            self.predict_clean(self.student, noisy, times, words)
            - self.compute_target(noisy, times, words)
        )

    @torch.no_grad()
    def sample_journeys(self, captions: Captions, minutes: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return noise, the guided teacher's latents after JOURNEY steps, and caption rows."""
        started, done = time.monotonic(), []
        while time.monotonic() - started < 60 * minutes:
            rows = torch.randint(len(captions.pooled) - 2, (128,), device=self.device)
            words = captions.hidden[rows].float(), captions.pooled[rows].float()
            start = at = torch.randn(128, 8, 8, 8, device=self.device)
            for step in range(JOURNEY, 0, -1):
                now, after = (round(n * 1000 / JOURNEY) - 1 for n in (step, step - 1))
                times = torch.full((128,), now, device=self.device)
                clean = self.predict_clean(self.teacher, at, times, words, self.guidance)
                a, b = self.signal[now], self.signal[after] if after >= 0 else torch.ones(())
                at = b.sqrt() * clean + (1 - b).sqrt() * (at - a.sqrt() * clean) / (1 - a).sqrt()
            done.append((start.half(), at.half(), rows))
        print(f"journeys {128 * len(done)}", flush=True)
        return tuple(torch.cat(part) for part in zip(*done, strict=True))  # type: ignore[return-value]

    def compute_end_loss(
        self, journeys: tuple[Tensor, Tensor, Tensor], captions: Captions, size: int
    ) -> Tensor:
        """Return the distance between a student's step and the teacher's final latents."""
        pick = torch.randint(len(journeys[2]), (size,), device=self.device)
        start, end, rows = (part[pick] for part in journeys)
        words = captions.hidden[rows].float(), captions.pooled[rows].float()
        at, last = start.float(), int(torch.randint(len(FOUR), ()))
        for point in FOUR[:last]:
            times = torch.full((size,), point * (1000 // GRID) - 1, device=self.device)
            with torch.no_grad():
                clean = self.predict_clean(self.target, at, times, words)
            a = self.signal[FOUR[FOUR.index(point) + 1] * (1000 // GRID) - 1]
            at = a.sqrt() * clean + (1 - a).sqrt() * torch.randn_like(clean)
        times = torch.full((size,), FOUR[last] * (1000 // GRID) - 1, device=self.device)
        return mean_huber(self.predict_clean(self.student, at, times, words) - end.float())

    @torch.no_grad()
    def update_target(self, decay: float = DECAY) -> None:
        """Move the target towards the student."""
        ours = [
            q
            for p, q in zip(self.student.parameters(), self.target.parameters(), strict=True)
            if p.requires_grad
        ]
        torch._foreach_lerp_(ours, self.weights, 1 - decay)

    def save(self, folder: Path) -> None:
        """Write the averaged LoRA in float16 where `load_lora_weights` finds it."""
        layers = get_peft_model_state_dict(self.target)
        layers = {name: value.half().contiguous() for name, value in layers.items()}
        StableDiffusionXLPipeline.save_lora_weights(folder, unet_lora_layers=layers)


def train(
    seed: int, unet: UNet2DConditionModel, material: Material, folder: Path, effort: Effort = EFFORT
) -> None:
    """Distil the UNet into a LoRA and save it; one batch in eight has 128 px."""
    torch.manual_seed(seed)
    distiller = Distiller(unet, shapes.GUIDANCE)
    parts, rank = count_processes()
    torch.manual_seed(seed + 1000 * rank)
    journeys = distiller.sample_journeys(material.captions, JOURNEY_SHARE * effort.minutes)
    optimiser = torch.optim.AdamW(
        distiller.weights, lr=effort.rate, betas=(0.9, 0.99), weight_decay=0.0
    )
    budget = Budget("lcm-lora", effort.share(1 - JOURNEY_SHARE))
    mean, saved = 0.0, 0.0
    for step in budget.run(optimiser):
        large = step % 8 == 7
        loss = distiller.compute_loss(
            material.pools[large], material.captions, effort.batch // (8 if large else 2) // parts
        )
        loss = loss + distiller.compute_end_loss(
            journeys, material.captions, effort.batch // 2 // parts
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(distiller.student)
        torch.nn.utils.clip_grad_norm_(distiller.weights, 1.0)
        optimiser.step()
        distiller.update_target()
        mean = loss.item() if step == 0 else 0.98 * mean + 0.02 * loss.item()
        if step % 100 == 0:
            print(f"lcm {step} {budget.seconds:.0f}s loss {mean:.4f}", flush=True)
        if rank == 0 and budget.seconds - saved > 120:
            saved = budget.seconds
            distiller.save(folder)
    if rank == 0:
        distiller.save(folder)
