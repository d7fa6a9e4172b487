"""PSNR, SSIM, LPIPS and the Fréchet distance agree with the reference packages, on real images and weights.

LPIPS repository facts (0.722 and 0.138 on its three example images) cannot be checked here: pip's lpips 0.1.4 ships
its heads but not those images. FID and KID: test_inception_reference.py; CLIP and CMMD: test_clip_reference.py.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from harness.metrics import Weights, get_metric, lpips
from harness.stats.frechet import feature_distance, frechet_distance, moments
from tests.builders.real_images import SHAPES, enlarged, noisy, real_images
from tests.builders.stand_ins import stand_in

torch = pytest.importorskip("torch")

WEIGHTS = os.environ.get("HARNESS_WEIGHTS", "")
WANG = {
    "gaussian_weights": True,
    "sigma": 1.5,
    "use_sample_covariance": False,
    "data_range": 255,
    "channel_axis": -1,
}
needs_weights = pytest.mark.skipif(not WEIGHTS, reason="HARNESS_WEIGHTS is not set: no real weights on this machine")


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Real images if there are any, uint8 (48, 32, 32, 3)."""
    return real_images(48)


@pytest.fixture(scope="module")
def damaged(images: np.ndarray) -> np.ndarray:
    """The same images with noise."""
    return noisy(images)


def distances(name: str, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The distances of a paired metric."""
    scorer = get_metric(name).load(Weights())
    return scorer.distances(scorer.network.extract(first), scorer.network.extract(second))


def as_tensor(images: np.ndarray) -> "torch.Tensor":
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def test_ssim_agrees_with_scikit_image(images: np.ndarray, damaged: np.ndarray) -> None:
    from skimage.metrics import structural_similarity

    ours = 1 - distances("ssim", images, damaged)
    theirs = [structural_similarity(a, b, **WANG) for a, b in zip(images, damaged, strict=True)]
    assert np.abs(ours - theirs).max() < 1e-5


def test_ssim_of_large_images_agrees_too() -> None:
    from skimage.metrics import structural_similarity

    rng = np.random.default_rng(0)
    large = rng.integers(0, 256, (1, 20, 15, 3)).repeat(20, axis=1).repeat(20, axis=2).astype(np.uint8)
    other = np.clip(large + rng.normal(0, 10, large.shape), 0, 255).astype(np.uint8)
    ours = 1 - distances("ssim", large, other)[0]
    assert ours == pytest.approx(structural_similarity(large[0], other[0], **WANG), abs=1e-5)


def test_ssim_agrees_with_torchmetrics(images: np.ndarray, damaged: np.ndarray) -> None:
    from torchmetrics.functional.image import structural_similarity_index_measure

    ours = 1 - distances("ssim", images, damaged)
    a, b = as_tensor(images).double() / 255, as_tensor(damaged).double() / 255
    _, whole = structural_similarity_index_measure(a, b, data_range=1.0, reduction="none", return_full_image=True)
    # torchmetrics 1.9 averages over reflected borders too; Wang et al. and scikit-image take the valid region
    theirs = whole[..., 5:-5, 5:-5].mean(dim=(1, 2, 3)).numpy()
    assert np.abs(ours - theirs).max() < 1e-5


def test_psnr_equals_scikit_image_and_torchmetrics(images: np.ndarray, damaged: np.ndarray) -> None:
    from skimage.metrics import peak_signal_noise_ratio
    from torchmetrics.functional.image import peak_signal_noise_ratio as torchmetrics_psnr

    metric = get_metric("psnr")
    ours = metric.to_score(distances("psnr", images, damaged))
    theirs = [peak_signal_noise_ratio(a, b, data_range=255) for a, b in zip(images, damaged, strict=True)]
    assert np.abs(ours - theirs).max() < 1e-9
    a, b = as_tensor(images).double(), as_tensor(damaged).double()
    third = torchmetrics_psnr(a, b, data_range=255.0, reduction="none", dim=(1, 2, 3)).numpy()
    assert np.abs(ours - third).max() < 1e-4


def test_frechet_distance_equals_scipy_sqrtm() -> None:
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 64)) @ rng.normal(size=(64, 64)) * 0.2
    y = rng.normal(size=(280, 64)) * np.linspace(0.1, 2, 64) + 0.3
    a, b = moments(x), moments(y)
    cross = np.trace(np.real(sqrtm(a.covariance @ b.covariance)))
    theirs = np.sum((a.mean - b.mean) ** 2) + a.spread + b.spread - 2 * cross
    assert frechet_distance(a, b) == pytest.approx(theirs, rel=1e-6)
    assert feature_distance(x, y) == pytest.approx(theirs, rel=1e-6)


def test_the_frechet_distance_agrees_with_torchmetrics() -> None:
    from torchmetrics.image.fid import _compute_fid

    rng = np.random.default_rng(0)
    a, b = moments(rng.normal(size=(500, 32))), moments(rng.normal(size=(500, 32)) * 1.3 + 0.1)
    arrays = (a.mean, a.covariance, b.mean, b.covariance)
    theirs = float(_compute_fid(*(torch.from_numpy(array) for array in arrays)))
    assert frechet_distance(a, b) == pytest.approx(theirs, rel=1e-6)


def as_reference(images: np.ndarray) -> "torch.Tensor":
    """Images as pip's lpips wants them: [-1, 1]."""
    return as_tensor(images).float() / 127.5 - 1


def lpips_reference(net: str) -> "torch.nn.Module":
    """pip's lpips with its own heads and a random trunk."""
    import lpips

    torch.manual_seed(0)
    return lpips.LPIPS(net=net, pnet_rand=True, verbose=False).eval()


def trunk_state(reference: "torch.nn.Module") -> dict[str, "torch.Tensor"]:
    """The trunk of pip's lpips in torchvision's key names; its five slices keep the numbers of the layers."""
    slices = (part for name, part in reference.net.named_children() if name.startswith("slice"))
    return {f"features.{key}": value for part in slices for key, value in part.state_dict().items()}


@needs_weights
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_lpips_alex_agrees_with_pips_lpips(shape: tuple[int, int]) -> None:
    images = enlarged(real_images(12), shape)
    damaged = noisy(images)
    reference = lpips_reference("alex")
    state = torch.load(Path(WEIGHTS) / "alexnet_features.pth", weights_only=True)
    for part in (part for name, part in reference.net.named_children() if name.startswith("slice")):
        part.load_state_dict({key: state[f"features.{key}"] for key in part.state_dict()})
    with torch.inference_mode():
        theirs = reference(as_reference(images), as_reference(damaged)).flatten().numpy()
    ours = distances("lpips:alex", images, damaged)
    assert np.abs(ours - theirs).max() < 1e-5
    assert ours.mean() > 0.001


def test_lpips_vgg_agrees_with_pips_lpips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No VGG16 weights can be had here: the architecture and the heads are real, the trunk is random."""
    reference = lpips_reference("vgg")
    weights = stand_in(tmp_path / "vgg16.pth", trunk_state(reference), "vgg16")
    monkeypatch.setitem(lpips.TRUNKS, "vgg", lpips.TRUNKS["vgg"]._replace(weights=weights))
    for shape in SHAPES[:2]:
        images = enlarged(real_images(4), shape)
        damaged = noisy(images)
        with torch.inference_mode():
            theirs = reference(as_reference(images), as_reference(damaged)).flatten().numpy()
        scorer = get_metric("lpips:vgg").load(Weights(paths={"vgg16": str(tmp_path / "vgg16.pth")}))
        ours = scorer.distances(scorer.network.extract(images), scorer.network.extract(damaged))
        assert np.abs(ours - theirs).max() < 1e-5
        assert ours.mean() > 0.001
