"""Stage 4: the dual encoder of clip:bundled, trained from random weights."""

from __future__ import annotations

import torch
from open_clip import CLIP
from torch import nn
from torch.nn import functional as F

from harness.metrics.bundled import clip
from harness.metrics.bundled.attributes import CLASSES
from tools.training import data
from tools.training.attributes import compute_loss, disturb
from tools.training.schedule import Budget, Effort

EFFORT, POOL = Effort(steps=2000, minutes=14.0, batch=128, rate=1e-3), 24000


def train(seed: int, device: str, effort: Effort = EFFORT) -> CLIP:
    """Train both encoders: contrastive loss, plus attribute heads that are discarded."""
    torch.manual_seed(seed)
    renders, labels, captions = data.draw_examples(seed, POOL)
    ids = clip.tokenize(captions)
    net = clip.build().to(device).train()
    sides = ("image", "text")
    heads = nn.ModuleDict(
        {s: nn.ModuleDict({k: nn.Linear(clip.WIDTH, n) for k, n in CLASSES.items()}) for s in sides}
    )
    heads.to(device)
    optimiser = torch.optim.AdamW(
        [*net.parameters(), *heads.parameters()], lr=effort.rate, weight_decay=1e-2
    )
    budget = Budget("clip", effort)
    target = torch.arange(effort.batch, device=device)
    for step in budget.run(optimiser):
        pick = torch.randint(POOL, (effort.batch,))
        images = disturb((data.to_tensor(renders[pick.numpy()]) / 2 + 0.5).to(device)) * 2 - 1
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            raw = {"image": net.encode_image(images), "text": net.encode_text(ids[pick].to(device))}
        unit = {side: F.normalize(value.float(), dim=-1) for side, value in raw.items()}
        scores = net.logit_scale.exp().clamp(max=100) * unit["image"] @ unit["text"].T
        loss = (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2
        truth = labels[pick].to(device)
        for side, value in raw.items():
            loss = loss + compute_loss(
                {k: head(value.float()) for k, head in heads[side].items()}, truth
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        if step % 100 == 0:
            print(f"clip {step} {budget.seconds:.0f}s loss {loss.item():.4f}", flush=True)
    return net.eval()
