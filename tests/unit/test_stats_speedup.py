"""Speedups of simulated machines: what is the same must come out as 1.00 however the machine misbehaves."""

import numpy as np
import pytest

from harness.core.quality import Interval
from harness.core.timing import Block, Pairing, Repeat
from harness.core.units import Absent
from harness.stats.confidence import lower_bound, upper_bound
from harness.stats.speedup import MIN_ROUNDS_FOR_VERDICT, Speedup, between, precise, speedup, unpaired
from harness.stats.steady_state import steady_blocks
from tests.builders.cases import slow_but_first
from tests.builders.timed_pairs import (
    ABBA,
    MACHINES,
    Machine,
    alone,
    growing,
    interleaved,
    latencies,
    made_blocks,
    sandwich,
)

RUNS, CALLS, MAX_ROUNDS = 200, 3, 14
WANTED = 0.02


def shown(found: Speedup) -> Interval:
    assert isinstance(found.interval, Interval)
    return found.interval


def holds(found: Speedup, truth: float) -> bool:
    return shown(found).low <= truth <= shown(found).high


def taken(machine: Machine, rng: np.random.Generator, truth: float) -> Pairing:
    """A pairing to which groups are added until its speedup is precise: the rule that cells are timed by."""
    for pairing in growing(machine, rng, MAX_ROUNDS, CALLS, truth):
        reached = precise(pairing)
        if reached is not None and reached <= WANTED:
            break
    return pairing


@pytest.mark.parametrize("machine", slow_but_first(MACHINES))
def test_baseline_against_itself_is_1_with_stopping(
    machine: Machine,
) -> None:
    rng = np.random.default_rng(3)
    assert np.mean([holds(speedup(taken(machine, rng, 1.0)), 1.0) for _ in range(RUNS)]) >= 0.93


@pytest.mark.parametrize("machine", MACHINES)
def test_a_true_speedup_of_5_percent_is_found(machine: Machine) -> None:
    rng = np.random.default_rng(4)
    found = [speedup(taken(machine, rng, 1.05)) for _ in range(40)]
    assert np.mean([holds(made, 1.05) for made in found]) >= 0.9
    assert np.mean([shown(made).low > 1 for made in found]) >= (0.75 if machine == "two-clocks" else 0.9)


@pytest.mark.parametrize("machine", slow_but_first(MACHINES))
@pytest.mark.parametrize("blocks", [(8, 16, 8), pytest.param((8, 80, 32), marks=pytest.mark.slow), (2, 4, 2)])
def test_a_baseline_before_and_after_is_1_too(machine: Machine, blocks: tuple[int, int, int]) -> None:
    """As many blocks as are made where the speedup is precise at once, where it never is, where a call takes long."""
    rng = np.random.default_rng(3)
    pairings = [sandwich(machine, rng, blocks, CALLS) for _ in range(RUNS)]
    assert np.mean([holds(speedup(pairing), 1.0) for pairing in pairings]) >= 0.93


def test_warm_up_on_each_sandwich_side_is_left_out() -> None:
    rng, shape = np.random.default_rng(1), (MIN_ROUNDS_FOR_VERDICT, 16, MIN_ROUNDS_FOR_VERDICT)
    cold = sandwich("quiet", rng, shape, 5)
    slow = [np.isin(place, (0, 1, 8, 9, 10, 24, 25)) for place in range(sum(shape))]
    blocks = tuple(
        block.model_copy(update={"repeats": tuple(Repeat(latency_s=r.latency_s * 1.6) for r in block.repeats)})
        if late else block
        for block, late in zip(cold.blocks, slow, strict=True)
    )  # fmt: skip
    pairing = cold.model_copy(update={"blocks": blocks})
    assert [blocks.index(block) for block in steady_blocks(pairing, "baseline")] == [*range(2, 8), *range(26, 32)]
    assert [blocks.index(block) for block in steady_blocks(pairing)] == list(range(11, 24))
    found = speedup(pairing)
    assert found.estimate == pytest.approx(1.0, abs=0.02)
    assert shown(found).high < 1.1
    assert found.drift_share == pytest.approx(0, abs=0.05)


def test_a_drift_is_corrected_and_told() -> None:
    found = speedup(sandwich("warming", np.random.default_rng(1), (4, 24, 4), 5, speedup=1.5))
    assert found.drift_share == pytest.approx(0.13, abs=0.03)  # of 15 % over all blocks, between the sides' middles
    assert found.estimate == pytest.approx(1.5, rel=0.02)
    one_side = sandwich("warming", np.random.default_rng(1), (4, 24, 0), 5)
    assert speedup(one_side).drift_share is None
    assert speedup(one_side).estimate == pytest.approx(0.92, abs=0.02), "nothing tells the drift"


def test_a_linear_drift_cancels_within_a_group() -> None:
    times = np.full((4, 2), 0.1) * np.array([1.0, 1.01, 1.0201, 1.030301])[:, None]
    blocks = tuple(made_blocks(ABBA, (0, 0, 0, 0), times, 2.0))
    found = speedup(Pairing(kind="interleaved", blocks=blocks))
    assert found.estimate == pytest.approx(2.0)
    assert found.rounds == 1
    assert shown(found).high / shown(found).low > 1.1, "its only group's halves differ by the drift: hardly sure"


def test_gate_bounds_and_report_interval_agree() -> None:
    found = speedup(interleaved("quiet", np.random.default_rng(0), 10, 2, speedup=1.3))
    assert not isinstance(found.spread, Absent)
    assert lower_bound(found.spread, 0.975) == shown(found).low
    assert upper_bound(found.spread, 0.975) == shown(found).high
    assert lower_bound(found.spread, 0.9999) < shown(found).low


def test_speedups_are_per_image() -> None:
    pairing = interleaved("quiet", np.random.default_rng(0), 10, 2)
    assert speedup(pairing, (1, 4)).estimate == pytest.approx(4 * speedup(pairing).estimate)


def test_superseded_blocks_do_not_count() -> None:
    pairing = interleaved("quiet", np.random.default_rng(0), 8, 2)
    slow = pairing.blocks[1].model_copy(update={"superseded": "hot", "repeats": (Repeat(latency_s=9),)})
    more = pairing.model_copy(update={"blocks": (*pairing.blocks, slow)})
    assert speedup(more) == speedup(pairing)


def test_groups_that_are_still_warming_up_are_left_out() -> None:
    times = latencies("quiet", np.random.default_rng(0), 4 * 12, 5)
    times[:12] *= np.where(np.array(ABBA * 3) == "cell", 1.6, 1.0)[:, None]
    rounds = tuple(round_index for round_index in range(12) for _ in ABBA)
    found = speedup(Pairing(kind="interleaved", blocks=tuple(made_blocks(ABBA * 12, rounds, times, 1.0))))
    assert (found.warming, found.rounds) == (3, 9)
    assert found.estimate == pytest.approx(1.0, abs=0.02)


def test_last_round_counts_once_it_has_both_sides() -> None:
    pairing = interleaved("quiet", np.random.default_rng(0), 4, 2)
    cut = [pairing.model_copy(update={"blocks": pairing.blocks[:count]}) for count in (13, 14, 16)]
    assert [speedup(made).rounds for made in cut] == [3, 4, 4]


def test_one_look_has_no_interval_and_says_so() -> None:
    blocks = interleaved("quiet", np.random.default_rng(0), 1, 1, speedup=2.0).blocks[:2]
    found = speedup(Pairing(kind="interleaved", blocks=blocks))
    assert isinstance(found.interval, Absent)
    assert "2.02×" in found.interval.absent
    assert isinstance(found.spread, Absent)


def test_nothing_beside_it_is_no_pair() -> None:
    pairing = interleaved("quiet", np.random.default_rng(0), 4, 2)
    for side in ("baseline", "cell"):
        lone = tuple(block for block in pairing.blocks if block.side == side)
        with pytest.raises(ValueError, match="needs blocks"):
            speedup(pairing.model_copy(update={"blocks": lone}))
    apart = [block for block in pairing.blocks if (block.round_index % 2 == 0) == (block.side == "cell")]
    with pytest.raises(ValueError, match="a group"):
        speedup(pairing.model_copy(update={"blocks": tuple(apart)}))


def test_cells_timed_each_by_itself_say_so() -> None:
    slow, fast = (alone(tuple(Repeat(latency_s=s + 0.01 * i) for i in range(5))) for s in (2.0, 1.0))
    found = unpaired(slow, fast, (2, 1))
    assert found.estimate == pytest.approx(2.02 / 1.02 / 2, rel=1e-3)
    assert "unpaired" in shown(found).method
    with pytest.raises(ValueError, match="needs blocks"):
        unpaired(Pairing(kind="alone", blocks=()), fast)


def test_cells_are_compared_by_their_shared_baseline() -> None:
    rng = np.random.default_rng(6)
    twice, thrice = (speedup(interleaved("quiet", rng, 12, 3, speedup=by)) for by in (2.0, 3.0))
    found = between(twice, thrice)
    assert found.estimate == pytest.approx(thrice.estimate / twice.estimate)
    assert holds(found, 1.5)
    wide = [shown(made).high / shown(made).low for made in (found, twice, thrice)]
    assert wide[0] > max(wide[1:])


def test_precision_is_that_of_the_interval() -> None:
    few, enough = (
        interleaved("quiet", np.random.default_rng(0), n, 2)
        for n in (MIN_ROUNDS_FOR_VERDICT - 1, MIN_ROUNDS_FOR_VERDICT)
    )
    assert precise(few) is None
    interval = shown(speedup(enough))
    assert precise(enough) == pytest.approx((interval.high / interval.low) ** 0.5 - 1)
    assert precise(Pairing(kind="interleaved", blocks=())) is None
    assert precise(Pairing(kind="alone", blocks=())) is None


def test_precision_without_speedup_is_of_the_latency() -> None:
    whole = sandwich("quiet", np.random.default_rng(0), (4, 12, 4), 3)
    before = whole.model_copy(update={"blocks": whole.blocks[:16]})
    lone = before.model_copy(update={"kind": "alone"})
    assert precise(before) == precise(lone)
    assert precise(whole) == pytest.approx((shown(speedup(whole)).high / shown(speedup(whole)).low) ** 0.5 - 1)
    one = Block(side="cell", round_index=0, begun_s=0, repeats=(Repeat(latency_s=1.0),))
    assert precise(Pairing(kind="sandwiched", blocks=(one,))) is None
