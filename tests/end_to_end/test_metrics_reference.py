"""Metrics agree with the reference packages, on real pictures and, where HARNESS_WEIGHTS is set, real weights."""

import os
from pathlib import Path

import numpy as np
import pytest

from harness.metrics import Weights, get_metric
from harness.stats.frechet import feature_distance, frechet_distance, moments

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
def pictures() -> np.ndarray:
    """Real pictures where the shared set lies beside the weights, else smooth random ones; uint8 (48, 32, 32, 3)."""
    shared = Path(WEIGHTS).parent / "images" / "cifar10_test_2000.npz" if WEIGHTS else None
    if shared is not None and shared.exists():
        with np.load(shared) as archive:
            found = next(archive[key] for key in archive.files if archive[key].ndim == 4)
            return np.ascontiguousarray(found[:48])
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (48, 8, 8, 3)).repeat(4, axis=1).repeat(4, axis=2)
    return np.clip(coarse + rng.normal(0, 8, coarse.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def damaged(pictures: np.ndarray) -> np.ndarray:
    """The same pictures with noise."""
    noise = np.random.default_rng(1).normal(0, 12, pictures.shape)
    return np.clip(pictures + noise, 0, 255).astype(np.uint8)


def distances(name: str, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The distances of a paired metric."""
    scorer = get_metric(name).load(Weights())
    return scorer.distances(scorer.network.look(first), scorer.network.look(second))


def as_tensor(pictures: np.ndarray) -> "torch.Tensor":
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)


def test_ssim_agrees_with_scikit_image(pictures: np.ndarray, damaged: np.ndarray) -> None:
    from skimage.metrics import structural_similarity

    ours = 1 - distances("ssim", pictures, damaged)
    theirs = [structural_similarity(a, b, **WANG) for a, b in zip(pictures, damaged, strict=True)]
    assert np.abs(ours - theirs).max() < 1e-5


def test_ssim_of_large_pictures_agrees_too() -> None:
    from skimage.metrics import structural_similarity

    rng = np.random.default_rng(0)
    large = rng.integers(0, 256, (1, 20, 15, 3)).repeat(20, axis=1).repeat(20, axis=2).astype(np.uint8)
    other = np.clip(large + rng.normal(0, 10, large.shape), 0, 255).astype(np.uint8)
    ours = 1 - distances("ssim", large, other)[0]
    assert ours == pytest.approx(structural_similarity(large[0], other[0], **WANG), abs=1e-5)


def test_ssim_agrees_with_torchmetrics(pictures: np.ndarray, damaged: np.ndarray) -> None:
    from torchmetrics.functional.image import structural_similarity_index_measure

    ours = 1 - distances("ssim", pictures, damaged)
    a, b = as_tensor(pictures).double() / 255, as_tensor(damaged).double() / 255
    _, whole = structural_similarity_index_measure(a, b, data_range=1.0, reduction="none", return_full_image=True)
    # torchmetrics 1.9 averages over reflected borders too; Wang et al. and scikit-image take the valid region
    theirs = whole[..., 5:-5, 5:-5].mean(dim=(1, 2, 3)).numpy()
    assert np.abs(ours - theirs).max() < 1e-5


def test_psnr_agrees_with_scikit_image_and_torchmetrics(pictures: np.ndarray, damaged: np.ndarray) -> None:
    from skimage.metrics import peak_signal_noise_ratio
    from torchmetrics.functional.image import peak_signal_noise_ratio as torchmetrics_psnr

    metric = get_metric("psnr")
    ours = metric.to_score(distances("psnr", pictures, damaged))
    theirs = [peak_signal_noise_ratio(a, b, data_range=255) for a, b in zip(pictures, damaged, strict=True)]
    assert np.abs(ours - theirs).max() < 1e-9
    a, b = as_tensor(pictures).double(), as_tensor(damaged).double()
    third = torchmetrics_psnr(a, b, data_range=255.0, reduction="none", dim=(1, 2, 3)).numpy()
    assert np.abs(ours - third).max() < 1e-4


def test_the_frechet_distance_agrees_with_scipys_square_root() -> None:
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


@needs_weights
def test_lpips_alex_agrees_with_pips_lpips(pictures: np.ndarray, damaged: np.ndarray) -> None:
    import lpips

    ours = distances("lpips:alex", pictures, damaged)
    theirs_net = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    state = torch.load(Path(WEIGHTS) / "alexnet_features.pth", weights_only=True)
    trunk = {key.removeprefix("features."): value for key, value in state.items()}
    for slices in (theirs_net.net.slice1, theirs_net.net.slice2, theirs_net.net.slice3, theirs_net.net.slice4,
                   theirs_net.net.slice5):  # fmt: skip
        for name, layer in slices.named_children():
            if f"{name}.weight" in trunk:
                layer.load_state_dict({"weight": trunk[f"{name}.weight"], "bias": trunk[f"{name}.bias"]})
    with torch.inference_mode():
        a, b = as_tensor(pictures).float() / 127.5 - 1, as_tensor(damaged).float() / 127.5 - 1
        theirs = theirs_net(a, b).flatten().numpy()
    assert np.abs(ours - theirs).max() < 1e-5
    assert ours.mean() > 0.001


@needs_weights
def test_fid_features_agree_with_the_reference_network(pictures: np.ndarray) -> None:
    """torch-fidelity's own network with our preprocessing stands in for pytorch-fid, which SciPy 1.18 breaks."""
    from torch.nn import functional
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    scorer = get_metric("fid:mlperf").load(Weights())
    ours = scorer.features(scorer.network.look(pictures[:8]))
    state = torch.load(Path(WEIGHTS) / "inception_v3_2015_12_05_pool3.pth", weights_only=True)
    state |= {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    reference = FeatureExtractorInceptionV3.__new__(FeatureExtractorInceptionV3)
    loaded = torch.load
    try:
        torch.load = lambda *_, **__: state
        FeatureExtractorInceptionV3.__init__(reference, "reference", ["2048"], feature_extractor_weights_path="given")
    finally:
        torch.load = loaded
    images = functional.interpolate(
        as_tensor(pictures[:8]).float() / 255, (299, 299), mode="bilinear", align_corners=False
    )
    with torch.inference_mode():
        x = images * 2 - 1
        for name, layer in reference.named_children():
            if name == "fc":
                break
            x = layer(x)
        theirs = x.flatten(1).numpy()
    assert ours.shape == (8, 2048)
    assert np.abs(ours - theirs).max() < 1e-4


def test_the_openai_clip_path_works_with_a_random_checkpoint(tmp_path: Path, pictures: np.ndarray) -> None:
    """No CLIP weights can be had here: the architecture is real, its numbers are random."""
    import open_clip

    from harness.metrics import _open_clip

    net = open_clip.create_model(_open_clip.ARCHITECTURE, pretrained=None)
    path = tmp_path / "ViT-B-32.pt"
    torch.save(net.state_dict(), path)
    network = _open_clip.openai_network(path)
    seen, read = network.look(pictures[:2]), network.read(["a cat", "a dog"])
    with torch.inference_mode():
        transform = open_clip.image_transform(224, is_train=False)
        from PIL import Image

        images = torch.stack([transform(Image.fromarray(picture)) for picture in pictures[:2]])
        theirs = net.eval().encode_image(images, normalize=True)
        texts = net.encode_text(open_clip.get_tokenizer(_open_clip.ARCHITECTURE)(["a cat", "a dog"]), normalize=True)
    assert torch.allclose(seen, theirs, atol=1e-5)
    assert torch.allclose(read, texts, atol=1e-5)
