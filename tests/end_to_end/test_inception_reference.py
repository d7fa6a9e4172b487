"""FID and KID agree with the four programs they are named after, each run as it is installed, with the same weights.

Compared are the pixels that reach the first layer, the features, and the numbers each program makes of them.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.metrics import Weights, get_metric
from harness.metrics._image_features import RESIZINGS
from harness.stats.frechet import feature_distance
from harness.stats.mmd import mmd
from tests.builders.real_images import SHAPES, enlarged, noisy, real_images

torch = pytest.importorskip("torch")

WEIGHTS = os.environ.get("HARNESS_WEIGHTS", "")
FILE = Path(WEIGHTS) / "inception_v3_2015_12_05_pool3.pth"
pytestmark = pytest.mark.skipif(not WEIGHTS, reason="HARNESS_WEIGHTS is not set: no Inception weights on this machine")
COUNT = 8
Program = Callable[[list[Path]], "torch.Tensor"]


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights with the classifier that the programs insist on; no feature passes through it."""
    state = torch.load(FILE, weights_only=True)
    state |= {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    path = tmp_path_factory.mktemp("weights") / "complete.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def programs(complete: Path) -> Iterator[dict[str, tuple[Any, Program]]]:
    """Profile → the program's first layer and the program from files to features (n, 2048)."""
    with pytest.MonkeyPatch.context() as patch:
        yield {
            "mlperf": pytorch_fid(complete, patch),
            "clean": clean_fid(complete),
            "tf1": torch_fidelity(complete),
            "torchmetrics": torchmetrics(complete),
        }


def pytorch_fid(complete: Path, patch: pytest.MonkeyPatch) -> tuple[Any, Program]:
    from pytorch_fid import fid_score, inception

    patch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: torch.load(complete, weights_only=True))
    net = inception.InceptionV3([3])
    first = net.blocks[0][0]
    return first, lambda files: torch.tensor(fid_score.get_activations(files, net, batch_size=8, num_workers=0))


def clean_fid(complete: Path) -> tuple[Any, Program]:
    """clean-fid reads a TorchScript archive: one is made here of torch-fidelity's layers with the same weights."""
    from cleanfid.fid import get_files_features
    from cleanfid.inception_torchscript import InceptionV3W

    class Archive(torch.nn.Module):
        def __init__(self, layers: torch.nn.Module) -> None:
            super().__init__()
            self.layers = layers

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layers(x)

    reference, _ = torch_fidelity_net(complete)
    parts = [layer for name, layer in reference.named_children() if name != "fc"]
    layers = torch.jit.trace(torch.nn.Sequential(*parts), torch.zeros(1, 3, 299, 299))
    torch.jit.save(torch.jit.script(Archive(layers)), complete.parent / "inception-2015-12-05.pt")
    net = InceptionV3W(str(complete.parent), download=False, resize_inside=False)

    def run(files: list[Path]) -> torch.Tensor:
        device = torch.device("cpu")
        found = get_files_features(files, net, num_workers=0, batch_size=8, device=device, mode="clean", verbose=False)
        return torch.tensor(found)

    return net.layers, run


def torch_fidelity_net(complete: Path) -> tuple[Any, Any]:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    net = FeatureExtractorInceptionV3("reference", ["2048"], feature_extractor_weights_path=str(complete))
    return net, net.Conv2d_1a_3x3


def torch_fidelity(complete: Path) -> tuple[Any, Program]:
    net, first = torch_fidelity_net(complete)
    return first, lambda files: torch.cat([net(levels(files[i : i + 8]))[0] for i in range(0, len(files), 8)])


def torchmetrics(complete: Path) -> tuple[Any, Program]:
    from torchmetrics.image.fid import FrechetInceptionDistance

    net = FrechetInceptionDistance(feature=2048, feature_extractor_weights_path=str(complete)).inception
    return net.Conv2d_1a_3x3, lambda files: torch.cat([net(levels(files[i : i + 8])) for i in range(0, len(files), 8)])


def levels(files: list[Path]) -> "torch.Tensor":
    return torch.stack([torch.from_numpy(np.array(Image.open(file))) for file in files]).permute(0, 3, 1, 2)


def write(images: np.ndarray, folder: Path) -> list[Path]:
    paths = [folder / f"{index:04}.png" for index in range(len(images))]
    for image, path in zip(images, paths, strict=True):
        Image.fromarray(image).save(path)
    return paths


def watched(program: tuple[Any, Program], files: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """What a program feeds to its first layer, and the features it makes of it."""
    first, run = program
    pixels: list[torch.Tensor] = []
    with torch.inference_mode():
        if isinstance(first, torch.jit.ScriptModule):  # clean-fid: a traced module takes no hooks
            features, pixels = run(files), [clean_pixels(files)]
        else:
            hook = first.register_forward_pre_hook(lambda _, given: pixels.append(given[0].clone()))
            features = run(files)
            hook.remove()
    return torch.cat(pixels).numpy(), features.numpy()


def clean_pixels(files: list[Path]) -> "torch.Tensor":
    """clean-fid's own data set, and the scaling in its InceptionV3W.forward."""
    from cleanfid.utils import ResizeDataset

    data = ResizeDataset(files, mode="clean")
    return (torch.stack([data[index] for index in range(len(files))]) - 128) / 128


def features_of(name: str, images: np.ndarray) -> np.ndarray:
    scorer = get_metric(name).load(Weights())
    return np.asarray(scorer.features(scorer.network.extract(images)))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("profile", RESIZINGS)
def test_pixels_and_features_agree(
    profile: str, shape: tuple[int, int], programs: dict[str, tuple[Any, Program]], tmp_path: Path
) -> None:
    images = enlarged(real_images(4), shape)
    pixels, features = watched(programs[profile], write(images, tmp_path))
    assert np.abs(RESIZINGS[profile].prepare(images).numpy() - pixels).max() < 1e-5
    assert np.abs(features_of(f"fid:{profile}", images) - features).max() < 1e-4


@pytest.fixture(scope="module")
def sets() -> tuple[np.ndarray, np.ndarray]:
    """Two sets of other real images, the second noisy."""
    return real_images(COUNT), noisy(real_images(COUNT, COUNT), 20)


@pytest.mark.parametrize(
    ("profile", "width"),
    [*((profile, 256) for profile in RESIZINGS), pytest.param("mlperf", 2048, marks=pytest.mark.slow)],
)
def test_fid_and_kid_agree(
    profile: str,
    width: int,
    sets: tuple[np.ndarray, np.ndarray],
    programs: dict[str, tuple[Any, Program]],
    tmp_path: Path,
) -> None:
    """From files to the number, by the program's own code, on the first `width` features.

    Small sets are the hard case of rank-deficient matrices. The root of all 2,048 features takes the programs 20 s.
    """
    theirs = []
    for index, images in enumerate(sets):
        folder = tmp_path / str(index)
        folder.mkdir()
        with torch.inference_mode():
            theirs.append(programs[profile][1](write(images, folder)).numpy())
    ours = [features_of(f"fid:{profile}", images) for images in sets]
    reference = FIDS[profile](*(x[:, :width] for x in theirs))
    assert feature_distance(*(x[:, :width] for x in ours)) == pytest.approx(reference, rel=1e-3)
    assert reference > 1
    for kid in KIDS:
        found = kid(*theirs)
        assert mmd(*ours, "cubic") == pytest.approx(found, rel=1e-3)
        assert found > 0


def by_pytorch_fid(first: np.ndarray, second: np.ndarray) -> float:
    """Its sqrtm(disp=False) is deprecated in SciPy 1.17 and gone from 1.18: its documented formula then stands in."""
    from pytorch_fid.fid_score import calculate_frechet_distance

    arguments = [f(x) for x in (first, second) for f in (lambda x: x.mean(0), lambda x: np.cov(x, rowvar=False))]
    try:
        return float(calculate_frechet_distance(*arguments))
    except TypeError:
        return by_eigenvalues(first, second)


def by_clean_fid(first: np.ndarray, second: np.ndarray) -> float:
    """clean-fid's code for the number is pytorch-fid's; on SciPy 1.18 it breaks in the same place."""
    from cleanfid.fid import fid_from_feats

    try:
        return float(fid_from_feats(first, second))
    except TypeError:
        return by_eigenvalues(first, second)


def by_eigenvalues(first: np.ndarray, second: np.ndarray) -> float:
    """The formula of Heusel et al. 2017 with the trace of the root as a sum of roots of eigenvalues."""
    a, b = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = np.sqrt(np.linalg.eigvals(a @ b).astype(complex)).real.sum()
    return float(((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * root)


def by_torch_fidelity(first: np.ndarray, second: np.ndarray) -> float:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    statistics = (fid_features_to_statistics(torch.from_numpy(x).double()) for x in (first, second))
    return float(fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"])


def by_torchmetrics(first: np.ndarray, second: np.ndarray) -> float:
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=Given(first.shape[1]))
    metric.update(torch.from_numpy(first).double(), real=True)
    metric.update(torch.from_numpy(second).double(), real=False)
    return float(metric.compute())


class Given(torch.nn.Module):
    """Features pass through."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.num_features = features

    def forward(self, x: "torch.Tensor") -> "torch.Tensor":
        return x


def kid_by_clean_fid(first: np.ndarray, second: np.ndarray) -> float:
    """One subset of all images is the whole set."""
    from cleanfid.fid import kernel_distance

    return float(kernel_distance(first.astype(float), second.astype(float), num_subsets=1))


def kid_by_torch_fidelity(first: np.ndarray, second: np.ndarray) -> float:
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

    tensors = (torch.from_numpy(x).double() for x in (first, second))
    found = kid_features_to_metric(*tensors, kid_subsets=1, kid_subset_size=COUNT, verbose=False)
    return float(found[KEY_METRIC_KID_MEAN])


FIDS = {
    "mlperf": by_pytorch_fid,
    "clean": by_clean_fid,
    "tf1": by_torch_fidelity,
    "torchmetrics": by_torchmetrics,
}
KIDS = (kid_by_clean_fid, kid_by_torch_fidelity)


def test_fid_and_kid_share_the_layers_and_the_look() -> None:
    networks = {name: get_metric(name).load(Weights()).network for name in ("fid:mlperf", "kid:mlperf", "fid:clean")}
    assert networks["fid:mlperf"] is networks["kid:mlperf"]
    assert networks["fid:clean"] is not networks["fid:mlperf"]
    assert networks["fid:clean"].net is networks["fid:mlperf"].net
