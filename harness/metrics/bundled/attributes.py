"""The attribute net: predicts shapes, colours, sizes, layout and background of the shapes world."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

WEIGHTS = Path(__file__).with_name("attributes.safetensors")
SIDE = 64  # images of any size are brought to this many pixels first
FEATURES = 128
CLASSES: dict[str, int] = {
    "layout": 3, "background": 4,
    "shape_1": 5, "colour_1": 6, "size_1": 2,
    "shape_2": 5, "colour_2": 6, "size_2": 2,
}  # fmt: skip
WIDTHS: tuple[tuple[int, int], ...] = (
    (24, 2),
    (48, 1),
    (64, 2),
    (96, 1),
    (128, 2),
    (128, 1),
    (128, 2),
)
MAP_LAYERS: tuple[int, ...] = (
    0,
    1,
    3,
    5,
)  # the layers LPIPS compares: 32, 32, 16 and 8 pixels a side


class AttributeNet(nn.Module):
    """A small CNN classifier with one head per attribute.

    Input in [0, 1], (count, 3, height, width).
    """

    def __init__(self) -> None:
        super().__init__()
        width_in, blocks = 3, []
        for width, stride in WIDTHS:
            conv = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
            blocks.append(nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU()))
            width_in = width
        self.blocks = nn.ModuleList(blocks)
        self.summary = nn.Linear(width_in * (SIDE // 16) ** 2, FEATURES)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(FEATURES, count) for name, count in CLASSES.items()}
        )

    def layers(self, images: Tensor) -> list[Tensor]:
        """What each block gives, first to last, each (count, channels, side, side)."""
        if images.shape[-2:] != (SIDE, SIDE):
            images = functional.interpolate(
                images, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False
            )
        x, layers = images * 2 - 1, []
        for block in self.blocks:
            x = block(x)
            layers.append(x)
        return layers

    def maps(self, images: Tensor) -> list[Tensor]:
        """Feature maps of several depths, each (count, channels, side, side), for lpips:bundled."""
        layers = self.layers(images)
        return [layers[i] for i in MAP_LAYERS]

    def features(self, images: Tensor) -> Tensor:
        """One feature vector per image, (count, 128), for fid:bundled."""
        return functional.relu(self.summary(self.layers(images)[-1].flatten(1)))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Logits per attribute, each (count, classes)."""
        return self.logits(self.features(images))

    def logits(self, features: Tensor) -> dict[str, Tensor]:
        """Logits per attribute, each (count, classes), of features (count, 128)."""
        return {name: head(features) for name, head in self.heads.items()}

    def labels(self, features: Tensor) -> Tensor:
        """Return labels in the order of CLASSES, int64 (count, 8); -1 in an empty second slot."""
        labels = torch.stack(
            [logits.argmax(-1) for logits in self.logits(features).values()], dim=-1
        )
        labels[labels[:, 0] == 0, 5:] = -1
        return labels

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Labels (count, 8) of images."""
        return self.labels(self.features(images))


def load(device: str | torch.device = "cpu", weights: Path = WEIGHTS) -> AttributeNet:
    """The trained attribute net in float32, in evaluation mode."""
    net = AttributeNet()
    net.load_state_dict(
        {k: v.float() if v.is_floating_point() else v for k, v in load_file(weights).items()}
    )
    return net.to(device).eval().requires_grad_(False)
