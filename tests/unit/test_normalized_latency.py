"""Seconds per image on the baseline's clock."""

import numpy as np
import pytest

from harness.core.outcome import ColdStart, Completed
from harness.core.timing import Pairing, Repeat
from harness.results.timing import normalize_latency
from harness.stats.confidence import upper_bound
from harness.stats.speedup import speedup
from tests.builders.timed_pairs import alone, interleaved

COLD = ColdStart(start_s=0, load_s=0, apply_s=0, compile_s=0, first_call_s=0)


def cell(pairing: Pairing, batch: int = 1) -> Completed:
    return Completed(
        cold_start=COLD, warmup_s=(), pairing=pairing, batch=batch, images=(), denoiser_calls=1, weights_bytes={},
        threads=1, phases_s={},
    )  # fmt: skip


BASELINE = cell(alone(tuple(Repeat(latency_s=seconds) for seconds in (0.98, 1.0, 1.02))))


def test_paired_cell_is_placed_by_its_speedup() -> None:
    """Its own calls take 0.05 / 2 s, for the machine was twenty times faster by then than for the baseline's own."""
    pairing = interleaved("quiet", np.random.default_rng(0), 10, 3, speedup=2.0)
    found = normalize_latency(BASELINE, cell(pairing, batch=2))
    assert found.image_s.estimate == pytest.approx(1.0 / speedup(pairing, (1, 2)).estimate)
    assert found.image_s.low < 0.25 < found.image_s.high
    assert upper_bound(found.spread, 0.975) == pytest.approx(found.image_s.high)


def test_unpaired_cells_use_their_own_latency() -> None:
    assert normalize_latency(BASELINE, BASELINE).image_s.estimate == 1.0
    lone = cell(alone(tuple(Repeat(latency_s=seconds) for seconds in (0.39, 0.4, 0.41))), batch=2)
    assert normalize_latency(BASELINE, lone).image_s.estimate == 0.2
    assert normalize_latency(None, lone).image_s.low < 0.2
    once = normalize_latency(BASELINE, cell(alone((Repeat(latency_s=0.4),))))
    assert (once.image_s.low, once.image_s.high) == (0.4, 0.4)
