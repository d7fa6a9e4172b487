"""Every doubtful time says what is doubtful, with figures, and what to do."""

from typing import get_args

import numpy as np
import pytest

from harness.core.matrix import Measure
from harness.core.outcome import Caution, MeasuredKind
from harness.core.timing import Pairing, Repeat
from harness.execution.warnings import find_timing_warnings
from harness.reporting import text, timing
from tests.builders.timed_pairs import ABBA, Machine, alone, interleaved, latencies, made_blocks, sandwich

MEASURE = Measure(precision=0.02, max_s=60)
WARM = (0.05,)


def pairing_of(times: np.ndarray, rounds: int) -> Pairing:
    """An interleaved pairing with these seconds (4 · groups, calls)."""
    places = tuple(round_index for round_index in range(rounds) for _ in ABBA)
    return Pairing(kind="interleaved", blocks=tuple(made_blocks(ABBA * rounds, places, times, 1.0)))


def times(machine: Machine = "quiet", rounds: int = 12, calls: int = 6) -> np.ndarray:
    return latencies(machine, np.random.default_rng(6), 4 * rounds, calls)


def said(pairing: Pairing, warmup_s: tuple[float, ...] = WARM, measure: Measure = MEASURE) -> dict[str, Caution]:
    return {caution.kind: caution for caution in find_timing_warnings(pairing, warmup_s, measure)}


def test_a_quiet_machine_is_not_warned_of() -> None:
    assert said(pairing_of(times(), 12)) == {}
    assert said(Pairing(kind="alone", blocks=())) == {}


def test_under_nsight_systems_every_time_is_doubtful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSYS_PROFILING_SESSION_ID", "1")
    assert "without --nsys" in said(pairing_of(times(), 12))["profiled"].advice


def test_a_first_call_that_was_timed() -> None:
    found = said(alone(tuple(Repeat(latency_s=s) for s in (3.0, *[1.0] * 9))), warmup_s=())["first-call"]
    assert found.message == "measure.warmup = 0: the first timed call took 3 s, the others 1 s"
    assert found.advice == "Set measure.warmup to 1 or more."


def test_blocks_that_are_still_warming_up() -> None:
    slow = times()
    slow[:12] *= np.where(np.array(ABBA * 3) == "cell", 1.6, 1.0)[:, None]
    found = said(pairing_of(slow, 12))["warming-up"]
    assert found.message.startswith("the first 6 blocks were not steady yet: 80")
    assert found.advice == "Set measure.warmup to 37 or more."  # one was made, and six calls in each block
    slow = times()
    slow[:12] *= np.where(np.array(ABBA * 3) == "baseline", 1.6, 1.0)[:, None]
    assert said(pairing_of(slow, 12))["warming-up"].message.startswith("the baseline's first 6 blocks were not steady")


def test_calls_far_from_the_rest_are_told_and_kept() -> None:
    odd = times()
    odd[1::4, 0] *= 8
    found = said(pairing_of(odd, 12))["outliers"]
    assert found.message.startswith("12 of 144 calls are outliers: up to 4")
    odd = times()
    odd[1, 0] *= 8
    assert "outliers" not in said(pairing_of(odd, 12)), "one of 144: every machine has them"


def test_two_speeds() -> None:
    both = latencies("quiet", np.random.default_rng(5), 48, 6) ** 0.3 * 0.05**0.7
    both *= np.where(np.arange(48) % 16 < 10, 1.0, 1.15)[:, None]
    found = said(pairing_of(both, 12))["two-speeds"]
    assert found.message.startswith("calls have two speeds: 50")
    assert "ms (62 % of them) and 57" in found.message
    assert "nvidia-smi -lgc" in found.advice
    coarse = MEASURE.model_copy(update={"precision": 0.3})
    assert "two-speeds" not in said(pairing_of(both, 12), measure=coarse)


def test_only_drift_of_one_side_is_of_the_cell() -> None:
    shared = said(pairing_of(times("warming"), 12))["drift"]
    assert shared.message.startswith("calls became 1")
    assert "the baseline's 1" in shared.message
    assert shared.message.endswith("% slower: the speedup is valid, latencies drift")
    own = times()
    own[np.array(ABBA * 12) == "cell"] *= np.linspace(1, 1.2, 24)[:, None]
    found = said(pairing_of(own, 12))["drift"]
    assert "the baseline's did not: the speedup depends on when it is measured" in found.message
    lone = pairing_of(own, 12).model_copy(update={"kind": "alone"})
    assert said(lone)["drift"].message.endswith("slower during the measurement")


def test_missed_precision_names_the_time_it_needs() -> None:
    found = said(pairing_of(times("two-clocks"), 12))["not-precise"]
    share = float(found.message.partition("±")[2].partition(" %")[0]) / 100
    assert found.message == f"the speedup is known only to ±{share * 100:.1f} %, requested is ±2.0 %"
    seconds = float(found.advice.rpartition("about ")[2].partition(",")[0])
    assert seconds == pytest.approx(60 * (share / 0.02) ** 2, rel=0.15)


def test_too_few_rounds_warn_whatever_their_interval() -> None:
    found = said(interleaved("quiet", np.random.default_rng(5), 2, 3))["few-rounds"]
    assert found.message.startswith("the speedup is known only to ±")
    assert found.message.endswith("after 2 measurement rounds")
    assert "measure.max_s to about 240" in found.advice
    slow = said(interleaved("quiet", np.random.default_rng(5), 2, 600))["few-rounds"]  # 30 s a block, four a group
    assert "measure.max_s to about 970" in slow.advice
    one = said(alone((Repeat(latency_s=1.0),)))["few-rounds"]
    assert one.message == "the median latency is not known after 1 block"
    brief = said(sandwich("quiet", np.random.default_rng(5), (2, 4, 2), 3))["few-rounds"]
    assert brief.message.endswith("after 4 blocks")


def test_report_shows_every_kind_of_caution() -> None:
    kinds = set(get_args(MeasuredKind))
    assert {*timing._PLACES["timing"], *timing._PLACES["nowhere"]} == kinds
    assert set(text.DOUBTS) <= kinds
