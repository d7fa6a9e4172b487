"""Stage 3: the text tower of the pipeline, trained contrastively against images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

from harness.metrics.bundled.attributes import CLASSES, AttributeNet
from tools.training import data, tokens
from tools.training.attributes import compute_loss
from tools.training.schedule import Budget, Effort

EFFORT, POOL = Effort(steps=2500, minutes=5.0, batch=128, rate=1e-3), 30000
WIDTH = 128


def build(tokenizer: CLIPTokenizer) -> CLIPTextModelWithProjection:
    """Return the untrained text tower."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH, intermediate_size=2 * WIDTH, projection_dim=WIDTH,
        num_hidden_layers=3, num_attention_heads=4, max_position_embeddings=tokens.LENGTH,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, hidden_act="quick_gelu",
    )  # fmt: skip
    return CLIPTextModelWithProjection(config)


class Heads(nn.Module):
    """A head per attribute on the pooled embedding and on the hidden states; only for training."""

    def __init__(self) -> None:
        super().__init__()
        self.pooled = nn.ModuleDict({k: nn.Linear(WIDTH, n) for k, n in CLASSES.items()})
        self.hidden = nn.ModuleDict({k: nn.Linear(WIDTH, n) for k, n in CLASSES.items()})
        self.scale = nn.Parameter(torch.tensor(2.5))

    def forward(self, text: Tensor, hidden: Tensor, image: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch: contrastive, plus attributes from both text embeddings."""
        sides = F.normalize(text, dim=-1), F.normalize(image, dim=-1)
        scores = self.scale.exp().clamp(max=100) * sides[0] @ sides[1].T
        target = torch.arange(len(text), device=text.device)
        contrast = (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2
        pooled = compute_loss({k: head(text) for k, head in self.pooled.items()}, labels)
        states = compute_loss({k: head(hidden) for k, head in self.hidden.items()}, labels)
        size = (text.pow(2).mean() - 1).pow(2) + (hidden.pow(2).mean() - 1).pow(2)
        return contrast + pooled + states + 0.1 * size


class ImageTower(nn.Module):
    """The image encoder of the contrastive loss; discarded after training."""

    def __init__(self) -> None:
        super().__init__()
        self.net = AttributeNet()
        self.project = nn.Linear(128, WIDTH)

    def forward(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the embedding (count, 128) and attribute logits of images in [0, 1]."""
        features = self.net.features(images)
        return self.project(features), {k: head(features) for k, head in self.net.heads.items()}


def train(
    seed: int, device: str, tokenizer: CLIPTokenizer, effort: Effort = EFFORT
) -> CLIPTextModelWithProjection:
    """Train the text tower against a convolutional image encoder."""
    torch.manual_seed(seed)
    renders, labels, captions = data.draw_examples(seed, POOL)
    ids = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
    ends = (ids == tokenizer.eos_token_id).int().argmax(1)
    tower, image_tower, heads = (
        build(tokenizer).to(device),
        ImageTower().to(device),
        Heads().to(device),
    )
    parts = nn.ModuleList([tower, image_tower, heads])
    optimiser = torch.optim.AdamW(parts.parameters(), lr=effort.rate, weight_decay=1e-2)
    budget = Budget("text", effort)
    for step in budget.run(optimiser):
        pick = torch.randint(POOL, (effort.batch,))
        images = (data.to_tensor(renders[pick.numpy()]) / 2 + 0.5).to(device)
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            embedded, logits = image_tower(images)
        out = tower(ids[pick].to(device), output_hidden_states=True)
        hidden = out.hidden_states[-2][torch.arange(effort.batch), ends[pick]]
        truth = labels[pick].to(device)
        loss = heads(out.text_embeds, hidden, embedded.float(), truth)
        loss = loss + compute_loss({k: v.float() for k, v in logits.items()}, truth)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimiser.step()
        if step % 100 == 0:
            print(f"text {step} {budget.seconds:.0f}s loss {loss.item():.4f}", flush=True)
    return tower.eval()
