"""The claims' matrices have the cells that claims are about, with the settings they were published with."""

from fnmatch import fnmatchcase
from functools import cache

import pytest

from harness.claims import Claim, shipped_claims
from harness.claims.comparison import MatchedCells, match_cells
from harness.core.axis import Cell
from harness.core.machine import Gpu, Machine
from harness.core.model import ModelInfo
from harness.core.units import Absent
from harness.matrix import expand, load_matrix
from harness.planning.resolve import resolve_cell
from tests.readme import ROOT

NONE = Absent(absent="not measured in a test")
SDXL = "stabilityai/stable-diffusion-xl-base-1.0"
FLUX = "black-forest-labs/FLUX.1-dev"
MODELS = {
    "claims": ModelInfo(title=SDXL, family="sdxl", width=1024, height=1024, guidance=5.0, size_multiple=8, digest="0"),
    "claims-flux": ModelInfo(
        title=FLUX, family="flux", width=1024, height=1024, guidance=3.5, size_multiple=16, digest="0"
    ),
}


def claims_of(matrix: str) -> list[Claim]:
    """What a matrix is to answer: all claims on its model, and SDXL's those on any model too."""
    spoken = [claim for claim in shipped_claims() if claim.quantity != "score"]
    title, any_model = MODELS[matrix].title, matrix == "claims"
    return [claim for claim in spoken
            if any(fnmatchcase(title, glob) for glob in claim.model) or (any_model and not claim.model)]  # fmt: skip


@cache
def cells(name: str) -> list[Cell]:
    matrix, _, _ = load_matrix(ROOT / "matrices" / f"{name}.toml")
    card = Gpu(name="H100", capability=(9, 0), memory_bytes=2**36, driver="1", cuda="1", power_limit_w=NONE)
    machine = Machine(
        name="test", gpus=(card,), cpu="test", cpu_cores=1, memory_bytes=2**30, os="test", python="3", packages={},
        git_commit=NONE, git_dirty=NONE,
    )  # fmt: skip
    return [resolve_cell(wish, MODELS[name], machine) for wish in expand(matrix)]


CASES = [(name, claim) for name in MODELS for claim in claims_of(name)]


@pytest.mark.parametrize(("matrix", "claim"), CASES, ids=[claim.id for _, claim in CASES])
def test_claims_matrix_covers_every_claim_on_its_model(matrix: str, claim: Claim) -> None:
    pair = match_cells(claim, cells(matrix))
    assert isinstance(pair, MatchedCells), pair
    assert pair.differences == ()


@pytest.mark.parametrize("matrix", MODELS)
def test_no_cell_is_there_for_nothing(matrix: str) -> None:
    pairs = [pair for claim in claims_of(matrix) if isinstance(pair := match_cells(claim, cells(matrix)), MatchedCells)]
    used = {cell.id for pair in pairs for cell in (pair.candidate, pair.baseline) if cell is not None}
    assert used == {cell.id for cell in cells(matrix)}
