"""How large a model is, found without torch, against what torch really holds."""

import weakref
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.models._configurations import find_configuration
from harness.models._facts import count_activations, count_parameters, describe_size, get_role
from harness.models._folder import Folder
from harness.models.families import find_family
from tests.tiny import FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_headers_tell_how_many_numbers_are_stored(tiny: Callable[[str], Path], family: str) -> None:
    from diffusers import DiffusionPipeline
    from torch.nn import Module

    folder = tiny(family)
    pipeline = DiffusionPipeline.from_pretrained(str(folder))
    parts = {get_role(name): part for name, part in pipeline.components.items() if isinstance(part, Module)}
    # Stored are tables of positions too, which some models keep beside their parameters; what is tied is stored once.
    tensors = {
        role: {tensor.data_ptr(): tensor for tensor in part.state_dict().values()} for role, part in parts.items()
    }
    held = {role: sum(tensor.numel() for tensor in found.values()) for role, found in tensors.items()}
    assert count_parameters(Folder(folder)) == held


def test_folder_without_sizes_is_not_guessed(tmp_path: Path) -> None:
    folder = Folder(find_configuration("sd15"))
    assert describe_size(folder, find_family(folder).describe(folder)) == {}


@contextmanager
def live_numbers(network: Any) -> Any:
    """Count the most numbers alive at once, besides weights, on the meta device: nothing is computed."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    own = {tensor.untyped_storage()._cdata for tensor in [*network.parameters(), *network.buffers()]}

    class Live(TorchDispatchMode):
        now = peak = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            for tensor in tree_leaves(made):
                if isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata not in {*own, *self.alive}:
                    self.hold(tensor.untyped_storage(), tensor.element_size())
            return made

        def __init__(self) -> None:
            super().__init__()
            self.alive: dict[int, int] = {}

        def hold(self, storage: Any, width: int) -> None:
            self.alive[storage._cdata] = storage.nbytes() // width
            self.now += self.alive[storage._cdata]
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self.let_go, storage._cdata)

        def let_go(self, key: int) -> None:
            self.now -= self.alive.pop(key)

    live = Live()
    with torch.no_grad(), live:
        yield live


def built(folder: Folder, component: str) -> Any:
    import diffusers
    import torch

    with torch.device("meta"):
        made = getattr(diffusers, folder.index[component][1]).from_config(folder.config(component))
    return made.to(torch.bfloat16).eval()


def fused(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> Any:
    """Stand for attention kernels that hold no matrix of all pairs; the meta device has none."""
    import torch

    return torch.empty_like(query)


@pytest.mark.parametrize("name", ["sd15", "sana-1600m"])
def test_activation_estimate_is_within_a_third(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    folder = Folder(find_configuration(name))
    info = find_family(folder).describe(folder)
    estimated = count_activations(folder, info)
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", fused)

    def number(*shape: int) -> Any:
        return torch.empty(shape, dtype=torch.bfloat16, device="meta")

    denoiser = built(folder, "unet" if name == "sd15" else "transformer")
    side, text = denoiser.config.sample_size, 768 if name == "sd15" else 2304
    with live_numbers(denoiser) as live:
        denoiser(number(1, denoiser.config.in_channels, side, side), timestep=number(1),
                 encoder_hidden_states=number(1, 77, text))  # fmt: skip
    assert live.peak / 3 < estimated["denoiser"] < live.peak
    vae = built(folder, "vae")
    with live_numbers(vae) as live:
        vae.decode(number(1, vae.config.latent_channels, side, side))
    assert live.peak / 3 < estimated["vae"] <= live.peak
