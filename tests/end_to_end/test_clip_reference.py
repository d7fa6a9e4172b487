"""CLIP score and CMMD from files of weights to numbers, beside open_clip's own path and the CMMD authors' maths.

No CLIP weights can be had here: the architecture is OpenAI's ViT-B/32, its numbers are random. ViT-L/14 at 336 pixels
takes gigabytes, so CMMD is tested with the smaller architecture in its place.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.core.errors import MachineError
from harness.metrics import Weights, _open_clip, get_metric
from harness.stats.mmd import mmd
from tests.builders.real_images import SHAPES, enlarged, noisy, real_images
from tests.builders.stand_ins import described, stand_in

torch = pytest.importorskip("torch")
open_clip = pytest.importorskip("open_clip")

TEXTS = ["a photo of a cat", "", "ein Bild mit Umlauten: äöü", "word " * 200]
ARCHIVE_ONLY = {"input_resolution": 224, "context_length": 77, "vocab_size": 49408}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A random ViT-B/32, accepted in the place of both of OpenAI's models."""
    torch.manual_seed(0)
    net = open_clip.CLIP(**open_clip.get_model_config("ViT-B-32-quickgelu"))
    path = tmp_path_factory.mktemp("clip") / "random.pt"
    weights = stand_in(path, net.state_dict(), "clip")
    with pytest.MonkeyPatch.context() as patch:
        for metric in ("clip:mlperf", "cmmd:openai"):
            patch.setattr(type(get_metric(metric)), "tower", _open_clip.B32._replace(weights=weights))
        yield path


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> tuple[torch.nn.Module, object]:
    """open_clip's model and transform for the same file, made the way its README does it."""
    net, _, transform = open_clip.create_model_and_transforms(
        "ViT-B-32", pretrained=str(checkpoint), force_quick_gelu=True
    )
    return net.eval(), transform


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_clip_score_agrees_with_open_clip(
    shape: tuple[int, int], checkpoint: Path, reference: tuple[torch.nn.Module, object]
) -> None:
    net, transform = reference
    levels = enlarged(real_images(len(TEXTS)), shape)
    metric = get_metric("clip:mlperf")
    scorer = metric.load(Weights(paths={"clip": str(checkpoint)}))
    seen, read = scorer.features(scorer.network.extract(levels)), scorer.texts(TEXTS)
    with torch.inference_mode():
        images = torch.stack([transform(Image.fromarray(levels)) for levels in levels])  # type: ignore[operator]
        theirs = net.encode_image(images, normalize=True)
        texts = net.encode_text(open_clip.get_tokenizer("ViT-B-32")(TEXTS), normalize=True)
        scores = 100 * (theirs * texts).sum(dim=1)
    assert np.abs(seen - theirs.numpy()).max() < 1e-5
    assert np.abs(read - texts.numpy()).max() < 1e-5
    ours = metric.to_score(np.einsum("nd,nd->n", seen, read))
    assert np.abs(ours - scores.numpy()).max() < 1e-3
    assert (np.asarray(ours) < 0).any(), "a random model has negative scores too: nothing may clamp them"


def test_openais_own_archives_can_be_read(checkpoint: Path, tmp_path: Path) -> None:
    """They are TorchScript in float16 with three extra entries, which torch.load refuses to read safely."""
    state = torch.load(checkpoint, weights_only=True)
    root = torch.nn.Module()
    for key, value in state.items():
        *names, last = key.split(".")
        place = root
        for name in names:
            if name not in dict(place.named_children()):
                place.add_module(name, torch.nn.Module())
            place = getattr(place, name)
        place.register_buffer(last, value.half())
    for name, number in ARCHIVE_ONLY.items():
        root.register_buffer(name, torch.tensor(number))
    path = tmp_path / "archive.pt"
    torch.jit.save(torch.jit.script(root), path)
    loaded = _open_clip.load_openai_network(path, _open_clip.B32).net.state_dict()
    assert all(torch.equal(loaded[key], value.half().float()) for key, value in state.items())


def test_a_file_of_another_architecture_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "other.pt"
    torch.save({"weight": torch.zeros(1)}, path)
    tower = _open_clip.B32._replace(weights=described(path, "clip"))
    monkeypatch.setattr(type(get_metric("clip:mlperf")), "tower", tower)
    with pytest.raises(MachineError, match="is no checkpoint of open_clip ViT-B-32"):
        get_metric("clip:mlperf").load(Weights(paths={"clip": str(path)}))


def square(levels: np.ndarray, side: int) -> Image.Image:
    """The CMMD authors' preprocessing as their io_util documents it: centre square first, then Pillow bicubic."""
    image = Image.fromarray(levels)
    width, height = image.size
    least = min(width, height)
    left, top = (width - least) // 2, (height - least) // 2
    return image.crop((left, top, left + least, top + least)).resize((side, side), Image.Resampling.BICUBIC)


def gaussian(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The paper's kernel, σ = 10, one pair at a time."""
    return np.array([[np.exp(-((a - b) ** 2).sum() / (2 * 10**2)) for b in y] for a in x])


@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
def test_cmmd_agrees_with_its_paper(
    shape: tuple[int, int], checkpoint: Path, reference: tuple[torch.nn.Module, object]
) -> None:
    """1000 · (mean of k over other pairs of x, plus the same of y, less twice the mean over pairs of both)."""
    net, _ = reference
    first = enlarged(real_images(4), shape)
    sets = (first, noisy(first[:3], 40))
    scorer = get_metric("cmmd:openai").load(Weights(paths={"clip": str(checkpoint)}))
    ours = [scorer.features(scorer.network.extract(levels)) for levels in sets]
    theirs = []
    for levels in sets:
        pixels = torch.stack([torch.from_numpy(np.array(square(p, 224))) for p in levels]).permute(0, 3, 1, 2) / 255
        mean, deviation = (torch.tensor(x).view(3, 1, 1) for x in (MEAN, DEVIATION))
        with torch.inference_mode():
            theirs.append(net.encode_image((pixels - mean) / deviation, normalize=True).double().numpy())
    assert all(np.abs(a - b).max() < 1e-4 for a, b in zip(ours, theirs, strict=True))
    x, y = theirs
    own = [(gaussian(z, z).sum() - len(z)) / (len(z) * (len(z) - 1)) for z in (x, y)]
    expected = 1000 * (sum(own) - 2 * gaussian(x, y).mean())
    assert mmd(*ours, "gaussian") == pytest.approx(expected, rel=1e-3, abs=1e-4)


MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
