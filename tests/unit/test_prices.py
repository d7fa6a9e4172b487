"""What an image costs: which price fits a machine, what counts, and what is absent rather than too cheap."""

import pytest

from harness.core.cost import image_cost, machine_cost
from harness.core.errors import MatrixError
from harness.core.machine import Gpu, Machine
from harness.core.matrix import Prices
from harness.core.units import Absent
from harness.matrix import parse_matrix

ABSENT = Absent(absent="a test")
H100 = Gpu(name="NVIDIA H100 80GB HBM3", capability=(9, 0), memory_bytes=80, driver="1", cuda="13", power_limit_w=700.0)


def machine(*gpus: Gpu) -> Machine:
    return Machine(
        name="box", gpus=gpus, cpu="AMD EPYC 9354", cpu_cores=16, memory_bytes=1, os="Linux", python="3.11",
        packages={}, git_commit=ABSENT, git_dirty=ABSENT,
    )  # fmt: skip


def test_an_image_costs_its_share_of_the_hour() -> None:
    cost = image_cost(Prices(per_hour={"*H100*": 3.6}), machine(H100), 2.0, ABSENT)
    assert not isinstance(cost, Absent)
    assert (cost.currency, cost.amount) == ("USD", pytest.approx(0.002))


def test_first_matching_glob_wins_in_any_case() -> None:
    prices = Prices(per_hour={"*a100*": 9, "*h100*": 2, "*": 1})
    assert [machine_cost(prices, machine(*gpus), 3600).amount for gpus in ((H100,), (H100, H100), ())] == [2, 2, 1]  # type: ignore[union-attr]


def test_electricity_is_added_only_where_priced() -> None:
    both = image_cost(Prices(currency="EUR", per_hour={"*": 3.6}, per_kwh=0.3), machine(), 1.0, 3600.0)
    assert not isinstance(both, Absent)
    assert both.parts == {"machine": pytest.approx(1e-3), "electricity": pytest.approx(3e-4)}
    alone = image_cost(Prices(per_kwh=0.3), machine(), 1.0, 3600.0)
    assert not isinstance(alone, Absent)
    assert alone.parts == {"electricity": pytest.approx(3e-4)}


@pytest.mark.parametrize(
    ("prices", "reason"),
    [
        (Prices(), "no prices"),
        (Prices(per_hour={"*H100*": 2}), 'matches "AMD EPYC 9354": *H100*'),
        (Prices(per_hour={"*": 2}, per_kwh=0.3), "the energy is absent: a test"),
    ],
)
def test_what_cannot_be_said_is_absent_with_its_reason(prices: Prices, reason: str) -> None:
    cost = image_cost(prices, machine(), 1.0, ABSENT)
    assert isinstance(cost, Absent)
    assert reason in cost.absent


def test_price_of_an_unused_machine_is_not_negative() -> None:
    text = 'name = "m"\naxes.steps = [4]\n[prices]\nper_hour = {{ "*nothing*" = {price} }}\n'
    assert parse_matrix(text.format(price=2)).prices.per_hour == {"*nothing*": 2}
    with pytest.raises(MatrixError, match=r"prices\.per_hour"):
        parse_matrix(text.format(price=-2))
