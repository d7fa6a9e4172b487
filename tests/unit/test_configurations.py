"""The configurations that ship: the architecture they describe has the published number of parameters."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from harness.core.errors import UsageError
from harness.models._configurations import FOLDER, find_configuration, read_configurations
from harness.models._facts import get_role
from harness.models._folder import Folder
from harness.models.families import find_family

PUBLISHED_BILLIONS = {
    "sd15": 0.8595, "sdxl-base": 2.567, "sdxl-turbo": 2.567, "sd35-medium": 2.24, "sd35-large": 8.06,
    "flux-dev": 11.90, "flux-schnell": 11.89, "pixart-sigma": 0.61, "sana-1600m": 1.60,
}  # fmt: skip
"""Of the denoiser, as model cards and papers round it."""


def networks(folder: Folder) -> Iterator[tuple[str, tuple[str, str], str]]:
    for component, entry in folder.index.items():
        if isinstance(entry, list) and entry[0] and component != "scheduler" and "tokenizer" not in component:
            yield component, tuple(entry), json.dumps(folder.config(component))


@cache
def count(entry: tuple[str, str], config: str) -> int:
    """Return the numbers in a network's weights, built without any."""
    import diffusers
    import torch
    import transformers

    settings: dict[str, Any] = json.loads(config)
    made: Any = getattr(diffusers if entry[0] == "diffusers" else transformers, entry[1])
    with torch.device("meta"):
        network = made.from_config(settings) if entry[0] == "diffusers" else made(made.config_class(**settings))
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize("name", sorted(PUBLISHED_BILLIONS))
def test_architecture_has_the_published_parameters(name: str) -> None:
    folder, known = Folder(find_configuration(name)), read_configurations()[name]
    counted = {get_role(component): count(entry, config) for component, entry, config in networks(folder)}
    assert counted == known.parameters
    assert counted["denoiser"] / 1e9 == pytest.approx(PUBLISHED_BILLIONS[name], rel=0.004)


def test_every_folder_is_listed_and_of_a_known_family() -> None:
    folders = {path.name for path in FOLDER.iterdir() if path.is_dir()}
    assert folders == set(read_configurations()) == set(PUBLISHED_BILLIONS)
    for name in folders:
        folder = Folder(find_configuration(name))
        info = find_family(folder).describe(folder)
        assert info.width == (512 if name in ("sd15", "sdxl-turbo") else 1024)
        assert read_configurations()[name].source
        assert not list(folder.path.rglob("*.safetensors"))


def test_an_unknown_name_is_met_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match="sdxl-bse") as caught:
        find_configuration("sdxl-bse")
    assert 'Did you mean "sdxl-base"' in str(caught.value)
