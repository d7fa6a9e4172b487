"""matrices/claims.toml has the cells that the claims on SDXL are about, with the settings they were published with."""

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from harness.claims import Claim, shipped_claims
from harness.claims.matching import Pair, find_pair
from harness.core.cell import Cell
from harness.core.machine import Gpu, Machine
from harness.core.model import ModelInfo
from harness.core.units import Absent
from harness.matrix import expand, load_matrix
from harness.planning.settle import settle

NONE = Absent(absent="not measured in a test")
SDXL = "stabilityai/stable-diffusion-xl-base-1.0"


def of_sdxl(claim: Claim) -> bool:
    return not claim.model or any(fnmatchcase(SDXL, glob) for glob in claim.model)


CLAIMS = [claim for claim in shipped_claims() if of_sdxl(claim) and claim.quantity != "score"]


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    matrix, _, _ = load_matrix(Path(__file__).parents[2] / "matrices" / "claims.toml")
    card = Gpu(name="H100", capability=(9, 0), memory_bytes=2**36, driver="1", cuda="1", power_limit_w=NONE)
    machine = Machine(
        name="test", gpus=(card,), cpu="test", cpu_cores=1, memory_bytes=2**30, os="test", python="3", packages={},
        git_commit=NONE, git_dirty=NONE,
    )  # fmt: skip
    model = ModelInfo(title=SDXL, family="sdxl", width=1024, height=1024, guidance=5.0, size_multiple=8, digest="0")
    return [settle(wish, model, machine) for wish in expand(matrix)]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_run_of_it_can_speak_for_every_claim_on_sdxl(claim: Claim, cells: list[Cell]) -> None:
    pair = find_pair(claim, cells)
    assert isinstance(pair, Pair), pair
    assert pair.differences == ()


def test_no_cell_is_there_for_nothing(cells: list[Cell]) -> None:
    pairs = [pair for claim in CLAIMS if isinstance(pair := find_pair(claim, cells), Pair)]
    used = {cell.id for pair in pairs for cell in (pair.candidate, pair.baseline) if cell is not None}
    assert used == {cell.id for cell in cells}
